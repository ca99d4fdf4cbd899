-- view: Which revisions a sync brought to a cluster: those since the revision before that touched what the application is made from.
-- repository: The source's name of the repository; its address where the ledger reads no such repository.
-- application: The application's name.
-- environment: The environment that it deploys to; empty where none is mapped to it.
-- cluster: The cluster that it deployed to.
-- commit_sha: The revision that was shipped.
-- pull_request: The pull request of its best link, null where none is linked.
-- deployed_at: When the sync ended, as the controller claims (UTC).
-- kind: shipped; initial (with the first sync of an application that was made under the ledger's eyes); rolled_back (taken away again); partial (only some resources of it, by a partial or failed sync); unknown_since (everything up to this revision is live, unknown since when); source_changed (likewise, as the application takes manifests from another repository, directory or branch since); off_mainline (on no tracked branch); untracked (the ledger reads no such repository).
-- tier: The environment's class, such as production; empty where unmapped.
-- branch: The tracked branch; null where it is on none.
-- number: The revision's number on it; null likewise.
-- path: The directory that the application is made from.
-- deployment: The sync's identity, as in deployments.
-- controller_cluster: The cluster that the application itself lives in.
-- application_namespace: The namespace that the application itself lives in.
-- evidence_position: The first event that tells of the sync.
-- recorded_at: When that was recorded (UTC).
with recursive closure(repository, branch, root, path, since, until) as (
  -- What an application is made from: its directory, and what kustomizations refer to, and they in turn.
  select distinct t.repository, t.branch, t.path, t.path, cast(0 as bigint), cast(2147483647 as bigint)
  from model_step t where t.branch is not null
  union
  select c.repository, c.branch, c.root, r.target,
         case when r.since > c.since then r.since else c.since end,
         case when r.until < c.until then r.until else c.until end
  from closure c
  join model_reference r on r.repository = c.repository and r.branch = c.branch and r.directory = c.path
  where r.kind in ('file', 'directory') and (r.until is null or r.until > c.since)
    and r.since < c.until and (r.until is null or r.until > r.since)
), ranges as materialized (
  select d.sync, d.source, d.repository, d.branch, d.low, d.high, d.line_number, d.number, d.displaced, d.ships,
         c.path, c.since, c.until
  from model_step d
  join closure c on c.repository = d.repository and c.branch = d.branch and c.root = d.path
  where d.ships <> ''
), touched as materialized (
  select distinct g.sync, g.source, g.repository, g.branch, g.ships, t.number, t.commit_sha
  from ranges g
  join model_touch t on t.repository = g.repository and t.branch = g.branch and t.path = g.path
    and t.number > g.low and t.number <= g.high
  where t.number + 0 >= g.since and t.number + 0 < g.until
), displaced as (
  -- What was applied before the branch moved away from it: no range of the current line has it.
  select distinct g.sync, g.source, t.number, t.commit_sha
  from ranges g
  join model_touch t on t.repository = g.repository and t.branch = g.branch and t.path = g.path
    and t.number > g.line_number and t.number <= g.number
  where g.displaced <> '' and g.displaced like '%' || t.commit_sha || '%'
), shipped as (
  select d.sync, d.source, d.number, d.revision as commit_sha, d.stands as kind
  from model_step d where d.stands <> ''
  union all
  select x.sync, x.source, x.number, x.commit_sha, 'shipped' from displaced x
  union all
  select t.sync, t.source, t.number, t.commit_sha, t.ships
  from touched t
  where (select v.superseded from model_revision v where v.repository = t.repository
      and v.branch = t.branch and v.commit_sha = t.commit_sha and v.number = t.number) = 0
    and (t.ships <> 'partial' or (select count(*) from model_resource_change h
      join model_sync_resource s on s.sync = t.sync and s.status in ('Synced', 'Pruned')
        and s.api_group = h.api_group and s.kind = h.kind and s.name = h.name
      where h.repository = t.repository and h.branch = t.branch
        and h.revision_number = t.number and h.commit_sha = t.commit_sha) > 0)
)
select case when d.repository = '' then d.url else d.repository end as repository, d.application,
       coalesce(e.environment, '') as environment, d.destination as cluster, t.commit_sha,
       (select min(l.number) from model_link l where l.repository = d.repository
         and l.commit_sha = t.commit_sha and l.best = 1) as pull_request, d.deployed_at, t.kind, coalesce(e.tier, '') as tier, d.branch, t.number,
       d.path, d.sync as deployment, d.cluster as controller_cluster, d.namespace as application_namespace,
       s.evidence_position, s.recorded_at
from shipped t
join model_step d on d.sync = t.sync and d.source = t.source
join model_sync s on s.sync = t.sync
left join model_place e on e.cluster = d.destination and e.namespace = d.destination_namespace
  and e.application = d.application and e.repository = d.place_repository and e.path = d.place_path
