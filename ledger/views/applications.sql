-- view: Applications as the ledger saw them last.
-- application: Its name.
-- environment: The environment that it deploys to; empty where none is mapped to it.
-- tier: That environment's class, such as production; empty where unmapped.
-- cluster: The cluster that it deploys to.
-- destination_namespace: The namespace that it deploys to.
-- controller_cluster: The cluster that the application itself lives in.
-- application_namespace: The namespace that the application itself lives in.
-- project: Its project.
-- repository: The source's name of the repository that it takes manifests from; empty where the ledger reads no such repository.
-- url: That repository's address.
-- path: The directory in it; of several sources that of the first one in a repository that the ledger reads.
-- target_revision: What it follows: a branch, tag, commit or version.
-- automated: 1 where it syncs by itself, else 0.
-- self_heal: 1 where it puts back what was changed by hand, else 0.
-- prune: 1 where it removes what is no longer declared, else 0.
-- present: 1 while it is there, 0 once it is gone.
-- created_at: When it was made, as its cluster claims (UTC); empty if not told.
-- first_seen_at: When the ledger saw it first (UTC).
-- last_changed_at: When the ledger first saw it as it is now (UTC).
-- syncs: How many syncs of it are known.
-- last_sync_at: When the last one ended (UTC); null if none is known.
-- uid: Its cluster's id of it.
-- facts: All that it is told to do, as JSON text.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select a.application, coalesce(p.environment, '') as environment, coalesce(p.tier, '') as tier,
       a.destination as cluster, a.destination_namespace, a.cluster as controller_cluster,
       a.namespace as application_namespace, a.project, a.repository, a.url, a.path, a.target_revision,
       a.automated, a.self_heal, a.prune, a.present * g.present as present, a.created_at,
       (select min(f.observed_at) from model_application_state f where f.cluster = a.cluster
         and f.namespace = a.namespace and f.application = a.application) as first_seen_at,
       (select max(c.observed_at) from model_application_state c where c.cluster = a.cluster
         and c.namespace = a.namespace and c.application = a.application and c.action <> '') as last_changed_at,
       (select count(*) from model_sync s where s.cluster = a.cluster
         and s.namespace = a.namespace and s.application = a.application) as syncs,
       (select max(s.finished_at) from model_sync s where s.cluster = a.cluster
         and s.namespace = a.namespace and s.application = a.application) as last_sync_at,
       a.uid, a.facts, g.evidence_position, g.recorded_at
from model_application_state a
join model_application_state g on g.cluster = a.cluster and g.namespace = a.namespace
  and g.application = a.application and g.current = 1
left join model_place p on p.cluster = a.destination and p.namespace = a.destination_namespace
  and p.application = a.application and p.repository = a.repository and p.path = a.path
where a.present = 1 and a.until is null
