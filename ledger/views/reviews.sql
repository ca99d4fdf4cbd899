-- view: Every review that a forge told of, and whether it counts as an approval at the merge.
-- repository: The source's name.
-- number: The pull request's number.
-- reviewer: Who gave it, by login; empty where the forge does not tell.
-- state: What it said: approved, changes_requested, commented; dismissed where only that is told.
-- commit_sha: The head that it was given at; empty where the forge does not tell.
-- submitted_at: When it was given (UTC); empty where the forge does not tell.
-- counts: 1 where it counts as an approval, else 0.
-- reason: Why it counts or not: a word and a colon begin every refusal (self, contributor, co_author, stale, dismissed, changes_requested, superseded, comment, bot, carried, not_code_owner, no_write_access, after_merge, undated, unknown_reviewer, unknown_head).
-- evidence_position: The last event that tells of it.
-- recorded_at: When that was recorded (UTC).
-- review: The forge's own id of it.
-- reviewer_is_bot: 1 where the forge says that a bot gave it, else 0.
-- dismissed: 1 where it was dismissed, whatever it said, else 0.
-- dismissed_at: When it was dismissed (UTC); empty where it was not or the forge does not tell.
-- dismissed_by: Who dismissed it, by login; empty where it was not or the forge does not tell.
-- carried: 1 where it was given at an earlier head and the forge carried it over by a rule of its own, else 0.
-- deduced: 1 where the forge does not tell the head that it was given at, and commit_sha is the one that stood then, else 0.
-- association: How the forge says that the reviewer belongs to the repository, such as MEMBER.
-- url: Its page; empty where the forge does not tell.
select r.repository, r.number, r.reviewer, r.state, r.commit_sha, r.submitted_at,
       coalesce(j.counts, 0) as counts, coalesce(j.reason, '') as reason, r.evidence_position, r.recorded_at,
       r.review, r.reviewer_is_bot, r.dismissed, r.dismissed_at, r.dismissed_by, r.carried, r.deduced,
       r.association, r.url
from model_review r
left join model_ruling j on j.repository = r.repository and j.number = r.number and j.review = r.review
-- Told in passing without an id, and told since under one: it is there under its own.
where r.provisional = 0 or j.review is not null
