-- view: Which revision set the fields of every object that an application declares, and through which file.
-- cluster: The cluster, as the operator calls it.
-- api_group: The API group; empty for the core group.
-- kind: The kind.
-- namespace: The namespace; empty for what has none.
-- name: The name.
-- field: A field; it speaks for all fields below it that have no row of their own. Empty for the whole object, and for what takes it in.
-- repository: The repository.
-- branch: The tracked branch.
-- commit_sha: The revision that set it; empty where none did, as with a field that differs from Git.
-- path: The file that set it: the object's own, or a kustomization or patch.
-- input_field: The field of that file; empty where it is the same field.
-- pull_request: The pull request of the revision's best link, null where none is linked.
-- approval: approved, unapproved or unknown, as of the revision; unexplained where no revision set it.
-- evidence_position: The event that tells of the revision; of the object where no revision set it.
-- recorded_at: When that was recorded (UTC).
select l.cluster, l.api_group, l.kind, l.namespace, l.name, o.field, o.repository, o.branch, o.commit_sha,
       o.path, o.input_field, v.pull_request,
       case when o.commit_sha = '' then 'unexplained' else coalesce(v.approval, 'unknown') end as approval,
       coalesce(v.evidence_position, l.evidence_position) as evidence_position,
       coalesce(v.recorded_at, l.recorded_at) as recorded_at
from model_live_origin o
join model_live_state l on l.object = o.object
left join revisions v on v.repository = o.repository and v.branch = o.branch and v.commit_sha = o.commit_sha
