-- view: Every link between a commit and a pull request, and every contradiction.
-- repository: The source's name.
-- commit_sha: The mainline commit.
-- number: The pull request.
-- role: merged (also of every pull request that a merge brought along); content where it holds its content, but the forge says that another commit is its merge; head where the commit is just its head; contradicted where what is said of it cannot be; reverts or backports where it takes back, or brings once more, the revision that this pull request was merged as.
-- grade: proved, reported, inferred or unlinked.
-- method: How the link was found.
-- reason: Why, in words.
-- best: 1 for the link that revisions show.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
-- approval: The verdict on the head of the pull request where its role is merged (revisions.approval judges what landed): approved, unapproved or unknown; null in any other role.
select l.repository, l.commit_sha, l.number, l.role, l.grade, l.method, l.reason, l.best,
       l.evidence_position, l.recorded_at,
       case when l.role = 'merged' then coalesce(a.verdict, 'unknown') end as approval
from model_link l
left join model_approval a on a.repository = l.repository and a.number = l.number
union all
select t.repository, t.revision_sha, l.number, t.role, t.grade, 'message', t.reason, 0,
       t.evidence_position, t.recorded_at, null
from model_relation t
join model_link l on l.repository = t.repository and l.commit_sha = t.named_sha and l.best = 1
  and l.role = 'merged'
where t.revision_sha <> ''
