-- view: Every change that reached an environment: the audited population. One item for each mainline revision and environment, however many applications and resources it touched.
-- item_id: The item's name, which stays the same: environment, repository and commit.
-- environment: The environment that it reached; empty where none is mapped to the place.
-- cluster: The cluster that it reached first.
-- application: The application that brought it first.
-- repository: The source's name of the repository; its address where the ledger reads no such repository.
-- commit_sha: The revision; of an untracked source what was applied of it, of a local sync what it was said to be.
-- pull_request: The pull request of its best link, null where none is linked.
-- author: Who opened the pull request, by login; else who wrote the commit, as claimed; empty if not known.
-- approvers: The logins whose approvals count, parted by commas.
-- approved_at: When the last approval that was needed was given (UTC); empty unless it is approved.
-- merged_by: Who merged it, by login; empty where no forge told it.
-- landed_at: When the branch moved to it (UTC); null where it is on no tracked branch.
-- first_applied_at: When the first sync that brought it to the environment ended, as the controller claims (UTC).
-- initiated_by: Who asked for that sync, as the controller claims; empty where it began by itself.
-- change_ticket: What the trailer Change-Ticket, Ticket or Refs of its message says; empty where there is none.
-- emergency: 1 where the pull request is labelled break-glass, emergency or hotfix, else 0.
-- kind: pull_request; direct_push (no pull request is linked); unknown_since (a baseline: everything up to this revision was live at the first look, unknown since when); source_changed (likewise, as the application takes manifests from elsewhere since); off_mainline (on no tracked branch); untracked (the ledger reads no such repository); local (a person's own manifests were applied, not Git).
-- approval: approved, unapproved or unknown, judged at the merge.
-- reason: Why.
-- url: The page of the pull request; null where none is known.
-- evidence_position: The first event that tells of that sync.
-- recorded_at: When that was recorded (UTC).
-- tier: The environment's class, such as production; empty where unmapped.
-- mapped: 1 where an environment is mapped to the place, 0 where it is unmapped.
-- branch: The tracked branch; null where it is on none.
-- number: The revision's number on it; null likewise.
-- subject: The first paragraph of its message; null where it is on no tracked branch.
-- link_grade: How well the link to the pull request is known: proved, reported, inferred or unlinked.
-- deployment: That sync's identity, as in deployments.
-- approval_at_apply: The verdict judged again at first_applied_at: unapproved where an approval was dismissed, or changes were requested, after the merge and by then; else as approval. What was approved only after the merge stays unapproved.
-- reason_at_apply: Why; empty where nothing was taken back after the merge.
with applied as materialized (
  select r.environment, r.tier, r.cluster, r.application, r.repository, r.commit_sha, r.branch, r.number,
         r.path, r.kind, r.deployed_at, r.deployment, r.evidence_position, r.recorded_at,
         case r.kind when 'unknown_since' then 2 when 'source_changed' then 1 else 0 end as rank
  from deployed_revisions r where r.kind <> 'rolled_back'
), ordered as (
  select a.*, row_number() over (partition by a.environment, a.repository, a.commit_sha
           order by a.rank, a.deployed_at, a.cluster, a.application, a.deployment) as place
  from applied a
  -- What was live before the first look does not reach the environment with its next cluster.
  where a.kind <> 'initial' or not exists (select 1 from applied b where b.kind = 'unknown_since'
    and b.environment = a.environment and b.repository = a.repository and b.branch = a.branch
    and b.path = a.path and b.number >= a.number)
), later as (
  -- What was taken back of any pull request that the revision merged, between its merge and the sync.
  select o.environment, o.repository, o.commit_sha, y.verdict, y.reason,
         row_number() over (partition by o.environment, o.repository, o.commit_sha
           order by case y.verdict when 'unapproved' then 0 when 'approved' then 2 else 1 end, y.number) as item_place
  from ordered o
  join model_link x on x.repository = o.repository and x.commit_sha = o.commit_sha and x.role = 'merged'
  join model_later_approval y on y.repository = x.repository and y.number = x.number
  where o.place = 1 and y.judged_at = (select max(z.judged_at) from model_later_approval z
    where z.repository = y.repository and z.number = y.number and z.judged_at <= o.deployed_at)
)
select o.environment || '/' || o.repository || '@' || o.commit_sha as item_id,
       o.environment, o.cluster, o.application, o.repository, o.commit_sha,
       case when o.rank = 0 then v.pull_request end as pull_request,
       coalesce(q.author, v.author_name, '') as author,
       case when o.rank = 0 then coalesce(v.approvers, '') else '' end as approvers,
       case when o.rank = 0 then coalesce(v.approved_at, '') else '' end as approved_at,
       coalesce(v.merged_by, '') as merged_by, v.landed_at, o.deployed_at as first_applied_at,
       s.initiated_by, coalesce(t.ticket, '') as change_ticket,
       case when '
' || lower(replace(q.labels, '_', '-')) || '
' like '%
break-glass
%' or '
' || lower(q.labels) || '
' like '%
emergency
%' or '
' || lower(q.labels) || '
' like '%
hotfix
%' then 1 else 0 end as emergency,
       case when o.kind in ('unknown_since', 'source_changed', 'off_mainline', 'untracked') then o.kind
            when v.pull_request is null then 'direct_push' else 'pull_request' end as kind,
       case when o.rank = 0 then coalesce(v.approval, 'unknown') else 'unknown' end as approval,
       case o.kind
         when 'unknown_since' then 'everything up to this revision was live at the first look; since when, and how it was approved, is not known'
         when 'source_changed' then 'the application takes its manifests from elsewhere since; all of them came at once'
         when 'off_mainline' then 'the applied revision is on no tracked branch'
         when 'untracked' then 'the ledger reads no such repository'
         else coalesce(v.approval_reason, '') end as reason,
       q.url, o.evidence_position, o.recorded_at, o.tier,
       case when o.environment = '' then 0 else 1 end as mapped, o.branch, o.number, v.subject,
       coalesce(v.link_grade, 'unlinked') as link_grade, o.deployment,
       case when o.rank <> 0 then 'unknown' when v.approval = 'unapproved' then v.approval
            else coalesce(b.verdict, v.approval, 'unknown') end as approval_at_apply,
       case when o.rank <> 0 or v.approval = 'unapproved' then '' else coalesce(b.reason, '') end
         as reason_at_apply
from ordered o
join model_sync s on s.sync = o.deployment
left join revisions v on v.repository = o.repository and v.branch = o.branch and v.commit_sha = o.commit_sha
left join pull_requests q on q.repository = v.repository and q.number = v.pull_request and o.rank = 0
left join model_change_ticket t on t.repository = o.repository and t.commit_sha = o.commit_sha
left join later b on b.item_place = 1 and b.environment = o.environment and b.repository = o.repository
  and b.commit_sha = o.commit_sha
where o.place = 1
union all
select d.environment || '/local/' || d.deployment, d.environment, d.cluster, d.application, d.repository,
       d.revision, cast(null as integer), d.initiated_by, '', '', '', cast(null as text),
       case when d.finished_at = '' then d.started_at else d.finished_at end, d.initiated_by, '', 0,
       'local', 'unapproved', 'a person''s own manifests were applied, not a revision of Git',
       cast(null as text), d.evidence_position, d.recorded_at, d.tier,
       case when d.environment = '' then 0 else 1 end, cast(null as text), cast(null as integer),
       cast(null as text), 'unlinked', d.deployment, 'unapproved', ''
from deployments d
where d.kind = 'local'
