-- view: Every resource declared on a tracked branch, now or once, as the current line has it.
-- resource: Its identity, which stays when it moves.
-- repository: The source's name.
-- branch: The tracked branch.
-- path: The file that declares it (or did last).
-- api_group: The API group; empty for the core group and for what has none. terraform for Terraform blocks.
-- kind: The kind: a Kubernetes kind, a Terraform type, or the kind of file.
-- namespace: The namespace written in the document; empty where it has none.
-- name: The name; the path for documents without a name.
-- first_revision: The number of the revision that first declared it.
-- last_revision: The number of the revision that changed it last.
-- present: 1 while it is declared, 0 once it is removed.
-- unparsed: Why the document could not be read as fields; empty where it could.
-- warnings: What a reader should know of the document, such as a duplicate key.
select resource, repository, branch, path, api_group, kind, namespace, name,
       first_revision, last_revision, present, unparsed, warnings
from model_resource
