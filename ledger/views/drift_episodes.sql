-- view: Every time in which an object differed from what was synced: first seen, in which fields, and how it ended.
-- cluster: The cluster, as the operator calls it.
-- api_group: The API group; empty for the core group.
-- kind: The kind.
-- namespace: The namespace; empty for what has none.
-- name: The name.
-- application: The application that it belongs to.
-- first_seen: When a look first saw it so, or when the sync ended after which it no longer fitted (UTC).
-- fields: The fields that differed, as JSON text.
-- manager: The tool that last set one of them, as the cluster claims; a tool, not a person. Empty if not known.
-- closed_at: When it was first seen as it should be, or gone (UTC); null while it is open, also where it cannot be told since, because what was synced is not known.
-- closed_by: sync (the application was synced), git (what is synced declares it so since), reverted (no sync that is known explains it), removed (the object is gone); empty while it is open.
-- synced_commit_sha: The revision that it differed from.
-- application_namespace: The namespace that the application itself lives in.
-- controller_cluster: The cluster that the application itself lives in.
-- evidence_position: The event that tells of the first look.
-- recorded_at: When that was recorded (UTC).
select e.cluster, e.api_group, e.kind, e.namespace, e.name, e.application, e.first_seen, e.fields, e.manager,
       e.closed_at, e.closed_by, e.synced_commit_sha, e.app_namespace as application_namespace,
       e.app_cluster as controller_cluster, e.evidence_position, e.recorded_at
from model_drift_episode e
