-- view: Every source of every sync: which revision of it was applied, and which one before.
-- deployment: The sync's identity.
-- source: The place of the source in the application, from 0.
-- application: The application's name.
-- environment: The environment that it deploys to; empty where none is mapped to it.
-- tier: That environment's class, such as production; empty where unmapped.
-- cluster: The cluster that it deployed to.
-- controller_cluster: The cluster that the application itself lives in.
-- application_namespace: The namespace that the application itself lives in.
-- repository: The source's name of the repository; empty where the ledger reads no such repository.
-- url: Its address.
-- path: The directory in it.
-- chart: The chart's name, of a chart.
-- target_revision: What the application follows: a branch, tag, commit or version.
-- revision: What was applied: a commit, or the version of a chart.
-- branch: The tracked branch that has this commit; null where none has.
-- number: The revision's number on it; null likewise.
-- line_number: The same on the branch's current line: of a revision that the branch moved away from, that of the last common one.
-- superseded: 1 where the branch moved away from it, 0 on the current line; null where no branch has it.
-- previous_deployment: The last sync before it that applied a whole revision of this source there; null if none is known.
-- previous_revision: What that one applied.
-- previous_line_number: The number on the branch's current line, likewise, of the last of these that is on a tracked branch.
-- kind: initial, unknown_since, source_changed, change, repeat, rollback, self_heal, partial, local or failed, as in deployments.
-- complete: 1 where it succeeded and applied all that the revision declares, else 0.
-- started_at: When it began, as the controller claims (UTC).
-- finished_at: When it ended, as the controller claims (UTC); empty if not told.
-- evidence_position: The first event that tells it.
-- recorded_at: When that was recorded (UTC).
select t.sync as deployment, t.source, t.application, coalesce(e.environment, '') as environment,
       coalesce(e.tier, '') as tier, t.destination as cluster, t.cluster as controller_cluster,
       t.namespace as application_namespace, t.repository, t.url, t.path, x.chart, x.target_revision,
       t.revision, t.branch, t.number, t.line_number, t.superseded, t.previous_sync as previous_deployment,
       t.previous_revision, t.previous_line_number, t.kind, t.complete, s.started_at, s.finished_at,
       s.evidence_position, s.recorded_at
from model_step t
join model_sync s on s.sync = t.sync
join model_sync_source x on x.sync = t.sync and x.source = t.source
left join model_place e on e.cluster = t.destination and e.namespace = t.destination_namespace
  and e.application = t.application and e.repository = t.place_repository and e.path = t.place_path
