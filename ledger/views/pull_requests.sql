-- view: Pull requests as far as Git shows them; what only a forge knows is null.
-- repository: The source's name.
-- number: The pull request's number.
-- title: Its title; null where no forge told it.
-- author: Who opened it; null where no forge told it.
-- merged_by: Who merged it; null where no forge told it.
-- merged_at: When it was merged (UTC); null where no forge told it.
-- head_sha: The last commit of its head that was seen.
-- merge_commit_sha: The mainline commit that it landed as, null where none is linked.
-- method: How that link was found.
-- link_grade: How well it is known.
-- url: Its page; null where no forge told it.
-- approvals: How many valid approvals; null where no forge told it.
-- approval: The verdict; null where no forge told it.
-- reason: Why.
-- evidence_position: The event that tells its head.
-- recorded_at: When that was recorded (UTC).
select p.repository, p.number, cast(null as text) as title, cast(null as text) as author,
       cast(null as text) as merged_by, cast(null as text) as merged_at, p.head_sha,
       l.commit_sha as merge_commit_sha, l.method, coalesce(l.grade, 'unlinked') as link_grade,
       cast(null as text) as url, cast(null as integer) as approvals, cast(null as text) as approval,
       coalesce(l.reason, 'no mainline commit is linked to it') as reason, p.evidence_position, p.recorded_at
from model_pull_request p
left join model_link l on l.repository = p.repository and l.number = p.number and l.best = 1
