-- view: When an application appeared, was told to do something else, or went.
-- application: Its name.
-- environment: The environment that it deploys to since; empty where none is mapped to it.
-- cluster: The cluster that it deploys to since.
-- controller_cluster: The cluster that the application itself lives in.
-- application_namespace: The namespace that the application itself lives in.
-- action: created, changed or deleted.
-- fields: What of it changed, parted by commas.
-- old_value: What it was told to do before, as JSON text; null unless changed.
-- new_value: What it is told to do since, as JSON text; null where it is gone.
-- observed_at: When the ledger first saw it so (UTC): it happened at some time since the look before.
-- created_at: When the application was made, as its cluster claims (UTC); empty if not told.
-- repository: The source's name of the repository that it takes manifests from since; empty where unmapped.
-- path: The directory in it.
-- uid: Its cluster's id of it.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select a.application, coalesce(p.environment, '') as environment, a.destination as cluster,
       a.cluster as controller_cluster, a.namespace as application_namespace, a.action, a.fields,
       a.old_facts as old_value, case when a.present = 1 then a.facts end as new_value, a.observed_at,
       a.created_at, a.repository, a.path, a.uid, a.evidence_position, a.recorded_at
from model_application_state a
left join model_place p on p.cluster = a.destination and p.namespace = a.destination_namespace
  and p.application = a.application and p.repository = a.repository and p.path = a.path
where a.action <> ''
