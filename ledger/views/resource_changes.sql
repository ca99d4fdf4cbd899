-- view: Every change of a resource by a mainline revision of the current line.
-- resource: The resource's identity.
-- repository: The source's name.
-- branch: The tracked branch.
-- revision_number: The revision's number.
-- commit_sha: The revision's commit.
-- committed_at: When it was committed, as claimed (UTC).
-- path: The file that declares it (of a removed one, that did).
-- old_path: Where it was before it moved; empty where it did not.
-- api_group: The API group.
-- kind: The kind.
-- namespace: The namespace.
-- name: The name.
-- action: added, changed, moved or removed.
-- fields_changed: How many rows field_changes has for it.
-- copied_from: The resource that left another environment as this one came; empty where there is none.
-- author_name: Who wrote it, as claimed.
-- pull_request: The pull request of the revision's best link, null where none is linked.
-- link_grade: How well that is known.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select h.resource, h.repository, h.branch, h.revision_number, h.commit_sha, r.committed_at,
       h.path, h.old_path, h.api_group, h.kind, h.namespace, h.name, h.action, h.fields_changed,
       h.copied_from, c.author_name, l.number as pull_request, coalesce(l.grade, 'unlinked') as link_grade,
       h.evidence_position, h.recorded_at
from model_resource_change h
join model_revision r on r.repository = h.repository and r.branch = h.branch and r.commit_sha = h.commit_sha
join model_commit c on c.repository = h.repository and c.commit_sha = h.commit_sha
left join model_link l on l.repository = h.repository and l.commit_sha = h.commit_sha and l.best = 1
where r.superseded = 0 and h.action <> 'formatted'
