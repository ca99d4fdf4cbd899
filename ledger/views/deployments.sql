-- view: Every sync that ended, as its controller tells it: one row each, however many sources it has.
-- repository: The source's name of the repository that was applied; empty where the ledger reads no such repository.
-- application: The application's name.
-- environment: The environment that it deploys to; empty where none is mapped to it.
-- cluster: The cluster that it deployed to.
-- revision: What was applied: a commit, or the version of a chart. Of several sources that of the first in a repository that the ledger reads.
-- outcome: succeeded or failed. Of a failed sync some resources may have been applied all the same.
-- kind: initial (the application was made under the ledger's eyes), unknown_since (what was before it is not known), source_changed (it takes manifests from another repository, directory or branch since), change, repeat (of the revision before), rollback (to an older one), self_heal, partial (chosen resources only), local (a person's own manifests, not Git) or failed.
-- initiated_by: Who asked for it, as the controller claims; empty where it began by itself.
-- automated: 1 where it began by itself, else 0.
-- started_at: When it began, as the controller claims (UTC).
-- finished_at: When it ended, as the controller claims (UTC); empty if not told.
-- deployment: The sync's identity.
-- tier: The environment's class, such as production; empty where unmapped.
-- controller_cluster: The cluster that the application itself lives in.
-- application_namespace: The namespace that the application itself lives in.
-- path: The directory that was applied.
-- previous_revision: The revision of the last sync before it that applied a whole one; null if none is known.
-- sources: How many sources it has.
-- resources: How many results of resources are known; the controller keeps those of its last operation only.
-- synced: How many of these were applied.
-- retries: How often it was tried again.
-- message: Why it failed; empty where it did not.
-- history_id: Its number in the controller's history, -1 where it has none.
-- evidence_position: The first event that tells it.
-- recorded_at: When that was recorded (UTC).
select d.repository, d.application, d.environment, d.cluster, d.revision, s.outcome,
       case d.rank when 1 then 'failed' when 2 then 'local' when 3 then 'self_heal' when 4 then 'partial'
         when 5 then 'change' when 6 then 'rollback' when 7 then 'source_changed'
         when 8 then 'initial' when 9 then 'unknown_since' else 'repeat' end as kind,
       s.initiated_by, s.automated, s.started_at, s.finished_at, s.sync as deployment, d.tier,
       d.controller_cluster, d.application_namespace, d.path, d.previous_revision, d.sources, s.resources,
       s.synced, s.retries, s.message, s.history_id, s.evidence_position, s.recorded_at
from (select r.*,
             min(case r.kind when 'failed' then 1 when 'local' then 2 when 'self_heal' then 3
               when 'partial' then 4 when 'change' then 5 when 'rollback' then 6 when 'source_changed' then 7
               when 'initial' then 8 when 'unknown_since' then 9 else 10 end)
               over (partition by r.deployment) as rank,
             count(*) over (partition by r.deployment) as sources,
             row_number() over (partition by r.deployment
               order by case when r.repository = '' then 1 else 0 end, r.source) as place
      from deployment_sources r) d
join model_sync s on s.sync = d.deployment
where d.place = 1
