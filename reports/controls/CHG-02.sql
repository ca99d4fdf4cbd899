-- id: CHG-02
-- version: 2
-- title: No tracked branch was changed by a direct push
-- criteria: SOC 2 CC8.1; NIST SP 800-53 CM-5(1); PCI DSS 4.0.1 6.5.1; SLSA v1.2 Source L3
-- population: Every mainline revision of every tracked branch that landed in the period, also those that the
--   branch has moved away from since.
-- parameters: period_start, period_end
-- rationale: What is pushed to a branch without a pull request has passed no review and no check. That the
--   message of a commit names a pull request proves nothing: anybody can write it. Nor does it help that a
--   revision repeats what some pull request holds, where the forge says that another commit is its merge.
--   That a revision is a pull request's says nothing yet of its approval: CHG-01 judges that.
-- remediation: Review the revision now and record it, or revert it. Protect the branch against pushes, and look
--   up in the forge's audit log who could push past the protection.
with urls as (
  select repository, number as pull, min(url) as page from pull_requests group by repository, number
),
judged as (
  select r.*, u.page,
         case
           when pull_request is null or coalesce(l.role, '') <> 'merged' then 'exception'
           when link_grade in ('proved', 'reported') then 'pass'
           when link_grade = 'inferred' then 'unknown'
           else 'exception'
         end as outcome
  from revisions r
  left join revision_pull_requests l
    on l.repository = r.repository and l.commit_sha = r.commit_sha and l.best = 1
  left join urls u on u.repository = r.repository and u.pull = r.pull_request
  where landed_at >= :period_start and landed_at < :period_end
)
select repository || '@' || branch || ' ' || commit_sha as item,
       outcome,
       case
         when outcome = 'unknown' then 'the pull request is only inferred: ' || coalesce(link_reason, '')
         when outcome = 'exception' and pull_request is not null then 'no pull request was merged as it: '
           || coalesce(link_reason, '')
         when outcome = 'exception' then coalesce(nullif(link_reason, ''), 'nothing is known of a pull request')
           || coalesce('; ' || direct_reason, '')
         else coalesce(nullif(link_reason, ''), 'nothing is known of a pull request')
       end as reason,
       cast(evidence_position as text) as evidence,
       landed_at as occurred_at,
       '' as environment, '' as application, author_name as owner, page as url,
       repository, branch, number, commit_sha, subject, pull_request, link_grade, landed_grade,
       superseded, direct, pushed_by, pushed_at, recorded_at
from judged
