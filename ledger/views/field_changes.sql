-- view: Every field that a mainline revision of the current line changed; an added or removed resource is one row at the root.
-- resource: The resource's identity.
-- repository: The source's name.
-- branch: The tracked branch.
-- revision_number: The revision's number.
-- commit_sha: The revision's commit.
-- committed_at: When it was committed, as claimed (UTC).
-- path: The file that declares the resource.
-- api_group: The API group.
-- kind: The kind.
-- namespace: The namespace.
-- name: The name.
-- field: The field's path; empty for the whole resource.
-- action: added, changed or removed.
-- old_value: The value before, as JSON text; null where there was none. Above 4 KiB a digest and an excerpt.
-- new_value: The value after, likewise.
-- author_name: Who wrote it, as claimed.
-- pull_request: The pull request of the revision's best link, null where none is linked.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select h.resource, h.repository, h.branch, h.revision_number, h.commit_sha, r.committed_at,
       h.path, h.api_group, h.kind, h.namespace, h.name,
       f.field, f.action, f.old_value, f.new_value, c.author_name, l.number as pull_request,
       h.evidence_position, h.recorded_at
from model_field_change f
join model_resource_change h on h.change = f.change
join model_revision r on r.repository = h.repository and r.branch = h.branch and r.commit_sha = h.commit_sha
join model_commit c on c.repository = h.repository and c.commit_sha = h.commit_sha
left join model_link l on l.repository = h.repository and l.commit_sha = h.commit_sha and l.best = 1
where r.superseded = 0
