-- view: Pull requests as their forge tells them and as Git shows them; what only a forge knows is null where none told it.
-- repository: The source's name.
-- number: The pull request's number.
-- title: Its title.
-- author: Who opened it, by login.
-- merged_by: Who merged it, by login.
-- merged_at: When it was merged (UTC).
-- head_sha: The head that merged, or the last one that was seen.
-- merge_commit_sha: The commit that it was merged as, by its forge; else the mainline commit that is linked to it; null where neither is known.
-- method: How the link to that commit was found; null where there is none.
-- link_grade: How well that link is known: proved, reported, inferred or unlinked.
-- url: Its page.
-- approvals: How many approvals count.
-- approval: The verdict on the approval of its head, at the merge; what landed can hold something else, which revisions.approval judges: approved, unapproved (also while it is not merged) or unknown (its forge told nothing of it, or it is not known whether what the rules demanded was there).
-- reason: Why the verdict is so.
-- refusal: The one word for why it is not approved: that of the last review that fails (as in reviews), or no_review, too_few, not_code_owner, not_approver, unknown_approver, unknown_push, not_merged, not_told; empty where it is approved.
-- rules: What the rules in force at the merge demanded, as far as anybody had looked by then; empty where it is not merged.
-- evidence_position: The last event that tells of it.
-- recorded_at: When that was recorded (UTC).
-- link_reason: Why the link to its merge commit is so.
-- state: open, closed or merged.
-- base: The branch that it was to be merged into.
-- approvers: The logins whose approvals count, parted by commas; empty where there are none.
-- approved_at: When the last approval that was needed was given (UTC).
-- merge_method: merge, squash or rebase.
-- commits: How many commits it had when it merged.
-- labels: Its labels, one a line.
-- draft: 1 while it is a draft, else 0.
-- author_is_bot: 1 where its forge says that a bot opened it, else 0.
-- created_at: When it was opened (UTC).
-- closed_at: When it was closed (UTC); null while it is open and where it was merged.
-- updated_at: When its forge last changed anything of it (UTC).
-- forge: Where it was told, as host and full name.
select k.repository, k.number, nullif(f.title, '') as title, nullif(f.author, '') as author,
       nullif(f.merged_by, '') as merged_by, nullif(f.merged_at, '') as merged_at,
       coalesce(nullif(f.head_sha, ''), p.head_sha) as head_sha,
       coalesce(nullif(s.commit_sha, ''), nullif(f.merge_commit_sha, ''), l.commit_sha) as merge_commit_sha,
       l.method, coalesce(l.grade, 'unlinked') as link_grade, nullif(f.url, '') as url, a.approvals,
       coalesce(a.verdict, 'unknown') as approval,
       coalesce(a.reason, 'nothing was told of it by its forge') as reason,
       coalesce(a.refusal, 'not_told') as refusal, coalesce(a.rules, '') as rules,
       coalesce(a.evidence_position, p.evidence_position) as evidence_position,
       coalesce(a.recorded_at, p.recorded_at) as recorded_at,
       coalesce(l.reason, 'no mainline commit is linked to it') as link_reason,
       f.state, nullif(f.base, '') as base, a.approvers, nullif(a.approved_at, '') as approved_at,
       nullif(f.merge_method, '') as merge_method, nullif(f.commits, 0) as commits, f.labels, f.draft,
       f.author_is_bot, nullif(f.created_at, '') as created_at, nullif(f.closed_at, '') as closed_at,
       nullif(f.updated_at, '') as updated_at, nullif(f.forge, '') as forge
from (select repository, number from model_pull_request
      union select repository, number from model_approval) k
left join model_pull_request p on p.repository = k.repository and p.number = k.number
left join model_reported_pull_request f on f.repository = k.repository and f.number = k.number
left join model_approval a on a.repository = k.repository and a.number = k.number
-- Named by its first digits alone.
left join model_short_merge s on s.repository = k.repository and s.number = k.number
  and s.merge_commit = f.merge_commit_sha
left join model_link l on l.repository = k.repository and l.number = k.number
  and l.commit_sha = (select x.commit_sha from model_link x
    where x.repository = k.repository and x.number = k.number
      and (x.best = 1 and coalesce(f.merge_commit_sha, '') = '' or x.method in ('brought', 'brought_along') and x.role = 'merged'
        or x.commit_sha = coalesce(nullif(s.commit_sha, ''), f.merge_commit_sha))
    order by x.rank, x.commit_sha limit 1)
