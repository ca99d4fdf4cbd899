-- view: Every move of a ref that was seen.
-- repository: The source's name.
-- ref: The ref's full name.
-- kind: created, fast_forward, forced or deleted.
-- sequence: The count of this ref's moves, from 1.
-- old_sha: Where it was; empty where it was not.
-- new_sha: Where it is; empty where it was deleted.
-- abandoned: How many commits the old tip reached and the new one does not.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select repository, ref, kind, sequence, old_sha, new_sha, abandoned, evidence_position, recorded_at
from model_ref_move
