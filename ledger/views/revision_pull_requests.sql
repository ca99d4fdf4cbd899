-- view: Every link between a commit and a pull request, and every contradiction.
-- repository: The source's name.
-- commit_sha: The mainline commit.
-- number: The pull request.
-- role: merged; head where the commit is just its head; contradicted where the message names it but Git shows otherwise.
-- grade: proved, reported, inferred or unlinked.
-- method: How the link was found.
-- reason: Why, in words.
-- best: 1 for the link that revisions show.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select repository, commit_sha, number, role, grade, method, reason, best, evidence_position, recorded_at
from model_link
