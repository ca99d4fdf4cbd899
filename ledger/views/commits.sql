-- view: Every commit observed, as it claims to be.
-- repository: The source's name.
-- commit_sha: Git's id of the commit.
-- tree_sha: Git's id of its tree.
-- parents: The ids of its parents, separated by spaces.
-- author_name: Who wrote it, as claimed.
-- author_email: The author's e-mail, as claimed.
-- authored_at: When it was written, as claimed (UTC); empty where unreadable.
-- committer_name: Who committed it, as claimed.
-- committer_email: The committer's e-mail, as claimed.
-- committed_at: When it was committed, as claimed (UTC); empty where unreadable.
-- subject: The first paragraph of its message on one line.
-- signature_kind: pgp, ssh or x509; empty where unsigned.
-- signature_status: none, unverified (not checked), good, bad, untrusted, unknown_key, expired, revoked or error.
-- signer: Whose key signed it, where that was checked.
-- files_changed: How many paths differ from its first parent.
-- claims: Header fields that could not be read as written.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select repository, commit_sha, tree_sha, parents, author_name, author_email, authored_at,
       committer_name, committer_email, committed_at, subject, signature_kind, signature_status, signer,
       files_changed, claims, evidence_position, recorded_at
from model_commit
