-- view: Every review that a forge told of, and whether it counts as an approval at the merge.
-- repository: The source's name.
-- number: The pull request's number.
-- reviewer: Who gave it, by login; empty where the forge does not tell.
-- state: What it said: approved, changes_requested, commented; dismissed where only that is told.
-- commit_sha: The head that it was given at; empty where the forge does not tell.
-- submitted_at: When it was given (UTC); empty where the forge does not tell.
-- counts: 1 where it counts as an approval, else 0.
-- reason: Why it counts or not: a word and a colon begin every refusal (self, contributor, stale, dismissed, changes_requested, superseded, comment, bot, carried, no_write_access, after_merge, undated, unknown_reviewer, unknown_head).
-- evidence_position: The last event that tells of it.
-- recorded_at: When that was recorded (UTC).
-- review: The forge's own id of it.
-- reviewer_is_bot: 1 where the forge says that a bot gave it, else 0.
-- dismissed: 1 where it was dismissed, whatever it said, else 0.
-- dismissed_at: When it was dismissed (UTC); empty where it was not or the forge does not tell.
-- dismissed_by: Who dismissed it, by login; empty where it was not or the forge does not tell.
-- carried: 1 where it was given at an earlier head and the forge carried it over by a rule of its own, else 0.
-- association: How the forge says that the reviewer belongs to the repository, such as MEMBER.
-- url: Its page; empty where the forge does not tell.
select repository, number, reviewer, state, commit_sha, submitted_at, counts, reason,
       evidence_position, recorded_at, review, reviewer_is_bot, dismissed, dismissed_at, dismissed_by,
       carried, association, url
from model_review
