-- id: CHG-01
-- version: 2
-- title: Every applied change was approved by someone other than its author
-- criteria: SOC 2 CC8.1; ISO/IEC 27001:2022 A.8.32; ISO/IEC 27001:2022 A.5.3; PCI DSS 4.0.1 6.5.1;
--   NIST SP 800-53 CM-3; NIST SP 800-53 AC-5
-- population: Every change that was applied to an environment for the first time in the period, one item for
--   each revision and environment, whatever way it came.
-- parameters: period_start, period_end
-- rationale: A change that one person can bring into an environment alone is neither reviewed nor authorised.
--   The approval must be there when the change is first applied, and the pull request that was approved must
--   be known to be this change: a number in a message proves nothing. It is judged at the merge and again when
--   the change is first applied: an approval that was taken back in between is none, one given after the merge
--   comes too late. Of what was live before the first look
--   nobody knows when it was applied, so it is unknown; the reason tells the approval that the revision itself has.
-- remediation: Have someone who did not contribute review the change now and record it, find out how it came
--   past the review, and close that way.
with judged as (
  select a.*, v.pull_request as own_pull, v.approval as own_approval, v.approval_reason as own_reason,
         case
           when a.approval = 'unapproved' then 'not approved'
           when coalesce(a.approval, '') <> 'approved' then 'not known'
           when coalesce(a.approvers, '') = '' then 'nobody named'
           when coalesce(a.approved_at, '') = '' then 'no time'
           when lower(a.approvers) = lower(a.author) then 'own approval'
           when a.approved_at > a.first_applied_at then 'late'
           when a.approval_at_apply = 'unapproved' then 'taken back'
           when coalesce(a.link_grade, '') not in ('proved', 'reported') then 'guessed'
           else 'approved'
         end as finding
  from applied_changes a
  left join revisions v on a.kind in ('unknown_since', 'source_changed') and v.repository = a.repository
    and v.branch = a.branch and v.commit_sha = a.commit_sha
  where a.first_applied_at >= :period_start and a.first_applied_at < :period_end
)
select item_id as item,
       case
         when finding = 'approved' then 'pass'
         when finding in ('not approved', 'own approval', 'late', 'taken back') then 'exception'
         else 'unknown'
       end as outcome,
       case
         when finding = 'nobody named' then 'it counts as approved, but no approver is named'
         when finding = 'no time' then 'it counts as approved, but not known since when'
         when finding = 'own approval' then 'its only approver is its author'
         when finding = 'late' then 'approved at ' || approved_at || ', after it was applied'
         when finding = 'taken back' then 'approved at the merge, and not any more when it was first applied: '
           || reason_at_apply
         when finding = 'guessed' then 'its pull request was approved, but is only guessed to be this change'
         when kind = 'unknown_since' then 'it was live, with all before it, when the ledger first looked: since when, '
           || 'and whether it was approved by then, is not known'
         else coalesce(nullif(reason, ''), 'nothing is known of an approval')
       end || case
         when finding <> 'not known' or own_approval is null then ''
         else case when own_pull is null then '; the revision itself'
             else '; its pull request #' || cast(own_pull as text) end
           || case
             when own_approval = 'unknown' then ' has no known approval'
             when own_reason like 'approved %' then ' was ' || own_reason
             else ' is ' || own_approval
           end
           || case when coalesce(own_reason, '') = '' or own_reason like 'approved %' then ''
             else ': ' || own_reason end
       end || case when finding <> 'approved' and emergency = 1 then '; labelled as an emergency' else '' end
         as reason,
       cast(evidence_position as text) as evidence,
       first_applied_at as occurred_at,
       environment, application, author as owner, url,
       tier, cluster, repository, branch, number, commit_sha, subject, pull_request, link_grade, approvers,
       approved_at, merged_by, landed_at, initiated_by, change_ticket, emergency, kind, approval, deployment,
       recorded_at
from judged
