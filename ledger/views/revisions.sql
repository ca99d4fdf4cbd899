-- view: Every mainline revision: one first-parent step of a tracked branch, with its best link.
-- repository: The source's name.
-- branch: The tracked branch.
-- number: The first-parent step, from 1; unique on the current line only.
-- commit_sha: The commit of this step.
-- committed_at: When it was committed, as claimed (UTC).
-- authored_at: When it was written, as claimed (UTC).
-- landed_at: When the branch moved to it (UTC): seen by the ledger, else when its forge says that it merged, else when it says that it was pushed, else inferred.
-- landed_grade: reported where the ledger saw the branch move or a forge tells it, inferred where it is the running maximum of committed_at.
-- author_name: Who wrote it, as claimed.
-- author_email: The author's e-mail, as claimed.
-- subject: The first paragraph of its message.
-- signature_status: What is known of its signature.
-- pull_request: The number of the pull request it landed, null where none is linked.
-- link_grade: proved, reported, inferred or unlinked.
-- link_reason: Why.
-- superseded: 1 where the branch moved away from it, 0 on the current line.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
-- approval: approved, unapproved or unknown (no forge told anything of it), judged at the merge; of several pull requests merged by one commit the worst. Unapproved too where merging the approved head again gives something else or where commits came along that no pull request was merged as, unknown where a patch id alone links it.
-- approval_reason: Why.
-- approvers: The logins whose approvals count, parted by commas.
-- approved_at: When the last approval that was needed was given (UTC); empty unless it is approved.
-- merged_by: Who merged it, by login; empty where no forge told it.
-- merged_at: When its forge says that it merged (UTC); empty where none told it.
-- pushed_by: Who pushed it to the branch, by login, as its forge says; empty where none told it.
-- pushed_at: When its forge says that it was pushed (UTC); empty where none told it.
-- direct: Of what no pull request was merged as: person, bot or bypass (past the rules), by who pushed it, or unknown; null for the rest.
-- direct_reason: Why; of an unknown pusher what the author text suggests, which anybody can write; null for the rest.
select r.repository, r.branch, r.number, r.commit_sha, r.committed_at, c.authored_at,
       case when m.kind in ('fast_forward', 'forced') then m.recorded_at
         else coalesce(nullif(f.merged_at, ''), nullif(p.pushed_at, ''), r.landed_floor) end as landed_at,
       case when m.kind in ('fast_forward', 'forced') or f.merged_at <> '' or p.pushed_at <> '' then 'reported'
         else 'inferred' end as landed_grade,
       c.author_name, c.author_email, c.subject, c.signature_status,
       l.number as pull_request, coalesce(l.grade, 'unlinked') as link_grade,
       coalesce(l.reason, (select x.reason from model_link x where x.repository = r.repository
           and x.commit_sha = r.commit_sha and x.role = 'contradicted' order by x.number limit 1),
         case when p.kind <> '' then 'a direct push: no pull request is named or matched'
           else 'a direct push, as far as Git shows: no pull request is named or matched' end) as link_reason,
       r.superseded, r.evidence_position, r.recorded_at,
       -- What was approved is the head: a landing that is known to hold something else has no approval of it.
       case when l.role = 'merged' and a.verdict = 'approved' and l.differs <> '' then 'unapproved'
         when l.role = 'merged' and a.verdict = 'approved' and l.method = 'patch_id' then 'unknown'
         when l.role = 'merged' then coalesce(a.verdict, 'unknown')
         when exists (select 1 from model_approval x where x.repository = r.repository) then 'unapproved'
         else 'unknown' end as approval,
       case when l.role = 'merged' and a.verdict = 'approved' and l.differs <> ''
           then a.reason || ', but ' || l.differs
         when l.role = 'merged' and a.verdict = 'approved' and l.method = 'patch_id'
           then a.reason || ', but what landed has an equal patch id alone, which says nothing of white space'
         when l.role = 'merged' then coalesce(a.reason, 'nothing was told of it by its forge')
         when not exists (select 1 from model_approval x where x.repository = r.repository)
         then 'nothing was told by a forge'
         when l.role is not null then l.reason
         else coalesce((select x.reason from model_link x where x.repository = r.repository
             and x.commit_sha = r.commit_sha and x.role = 'contradicted' order by x.number limit 1),
           'no pull request is linked to it') end as approval_reason,
       case when l.role = 'merged' and l.differs = '' and l.method <> 'patch_id'
         then coalesce(a.approvers, '') else '' end as approvers,
       case when l.role = 'merged' and l.differs = '' and l.method <> 'patch_id'
         then coalesce(a.approved_at, '') else '' end as approved_at,
       coalesce(f.merged_by, '') as merged_by, coalesce(f.merged_at, '') as merged_at,
       coalesce(p.pusher, '') as pushed_by, coalesce(p.pushed_at, '') as pushed_at,
       case when l.role = 'merged' then null else coalesce(nullif(p.kind, ''), 'unknown') end as direct,
       case when l.role = 'merged' then null
         when p.kind <> '' then p.reason
         else 'who pushed it is not known; the author text, which anybody can write, names a '
           || case when lower(c.author_name) like '%[bot]' or lower(c.author_name) like '%-bot'
                or lower(c.author_name) like '% bot' or lower(c.author_name) = 'bot'
                or lower(c.author_email) like '%[bot]@%' or lower(c.author_email) like '%-bot@%'
                or lower(c.author_email) like 'bot@%' then 'bot' else 'person' end
           || case when c.author_name = '' then '' else ': ' || c.author_name end end as direct_reason
from model_revision r
join model_commit c on c.repository = r.repository and c.commit_sha = r.commit_sha
left join model_ref_move m on m.key = r.move
left join model_link l on l.repository = r.repository and l.commit_sha = r.commit_sha and l.best = 1
left join model_landing p on p.repository = r.repository and p.branch = r.branch
  and p.commit_sha = r.commit_sha
left join model_reported_pull_request f on f.repository = l.repository and f.number = l.number
  and (f.merge_commit_sha = l.commit_sha or l.method in ('rebased', 'brought', 'brought_along') and l.role = 'merged'
    or exists (select 1 from model_short_merge s where s.repository = f.repository and s.number = f.number
      and s.merge_commit = f.merge_commit_sha and s.commit_sha = l.commit_sha))
left join model_approval a on a.repository = l.repository and a.number =
  (select x.number from model_link x
   left join model_approval y on y.repository = x.repository and y.number = x.number
   where x.repository = l.repository and x.commit_sha = l.commit_sha and x.role = 'merged' and x.rank = l.rank
   order by case y.verdict when 'unapproved' then 0 when 'approved' then 2 else 1 end, x.number limit 1)
