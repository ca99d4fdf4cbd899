-- id: CHG-03
-- version: 1
-- title: Every live resource traces to an approved change
-- criteria: SOC 2 CC7.1; SOC 2 CC8.1; ISO/IEC 27001:2022 A.8.9; PCI DSS 4.0.1 6.5.4; PCI DSS 4.0.1 11.5.2;
--   NIST SP 800-53 CM-6
-- population: Every object that the last look at each cluster saw, and every one that should be there, as of the
--   log position. A state has no period: it is the same population whatever period is asked for.
-- parameters: none
-- rationale: Changes that went around the pipeline are in no list of changes. They are found only from what runs,
--   walked back to what was approved: every field of an object, not only the one that changed last.
-- remediation: Find out who made the difference. Bring it into Git through a pull request, or sync it away.
with urls as (
  select repository, number as pull, min(url) as page from pull_requests group by repository, number
),
doubts as (
  select f.*,
         row_number() over (partition by cluster, api_group, kind, namespace, name
           order by case approval when 'unapproved' then 0 when 'unexplained' then 1 else 2 end, field,
             commit_sha, path, input_field) as place
  from live_fields f
  where coalesce(approval, '') not in ('approved', 'waived')
),
judged as (
  select l.*, u.page, d.field, d.commit_sha as set_by,
         case
           when state = 'absent' then 'not live'
           when state = 'derived' then 'derived'
           when state = 'not_observed' then 'not looked at'
           when state in ('drifted', 'extra') then 'differs'
           when coalesce(state, '') not in ('in_sync', 'pending', 'rolled_back') then 'not known'
           when l.approval = 'approved' then 'approved'
           when l.approval = 'waived' then 'waived'
           when l.approval in ('unapproved', 'unexplained') then 'not approved'
           else 'not known'
         end as finding
  from live_resources l
  left join doubts d on d.place = 1 and d.cluster = l.cluster and d.api_group = l.api_group
    and d.kind = l.kind and d.namespace = l.namespace and d.name = l.name
  left join urls u on u.repository = case when d.place = 1 then d.repository else l.repository end
    and u.pull = case when d.place = 1 then d.pull_request else l.pull_request end
)
select cluster || ': ' || kind
         || case when coalesce(api_group, '') = '' then '' else '.' || api_group end || ' '
         || case when coalesce(namespace, '') = '' then '' else namespace || '/' end || name as item,
       case
         when finding = 'approved' then 'pass'
         when finding in ('not live', 'derived') then 'not_applicable'
         when finding in ('differs', 'waived', 'not approved') then 'exception'
         else 'unknown'
       end as outcome,
       case
         when finding = 'not live' then 'declared, and not live'
         when finding = 'derived' then 'made by a controller: ' || coalesce(reason, '')
         when finding = 'differs' then state || ': ' || coalesce(reason, '')
         when finding = 'waived' then 'waived: ' || coalesce(reason, '')
         when finding in ('not approved', 'not known') and coalesce(set_by, '') <> '' then
           case when finding = 'not approved' then 'not approved: ' else 'nothing is known of an approval: ' end
           || case when field = '' then 'the object' else field end || ' was set by ' || set_by
         when finding = 'not looked at' and coalesce(reason, '') = '' then 'it was not looked at'
         when finding = 'not approved' then 'not approved: ' || coalesce(reason, '')
         when finding = 'not known' then 'nothing is known of an approval: ' || coalesce(reason, '')
         else coalesce(reason, '')
       end as reason,
       cast(evidence_position as text) as evidence,
       coalesce(nullif(seen_at, ''), observed_at) as occurred_at,
       '' as environment, application, '' as owner, page as url,
       cluster, api_group, kind, namespace, name, repository, branch, path, state, approval, grade,
       synced_commit_sha, changed_commit_sha, pull_request, observed_at, manager, changed_at, differences,
       recorded_at
from judged
