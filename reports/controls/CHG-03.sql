-- id: CHG-03
-- version: 1
-- title: Every live resource traces to an approved change
-- criteria: SOC 2 CC7.1; SOC 2 CC8.1; ISO/IEC 27001:2022 A.8.9; PCI DSS 4.0.1 6.5.4; PCI DSS 4.0.1 11.5.2;
--   NIST SP 800-53 CM-6
-- population: Every object that the last look at each cluster saw, and every one that should be there, as of the
--   log position. A state has no period: it is the same population whatever period is asked for. An object is
--   of its application's environment; one without an application is of that of the applications of its
--   namespace, where all of them are of one.
-- parameters: none
-- rationale: Changes that went around the pipeline are in no list of changes. They are found only from what runs,
--   walked back to what was approved: every field of an object, not only the one that changed last.
-- remediation: Find out who made the difference. Bring it into Git through a pull request, or sync it away.
with urls as (
  select repository, number as pull, min(url) as page from pull_requests group by repository, number
),
owners as (
  select controller_cluster, application_namespace, application, min(environment) as environment
  from applications group by controller_cluster, application_namespace, application
),
places as (
  select cluster, destination_namespace, min(environment) as environment
  from applications group by cluster, destination_namespace having min(environment) = max(environment)
),
setters as (
  select distinct cluster, api_group, kind, namespace, name, field, commit_sha, repository, pull_request,
         case approval when 'unapproved' then 0 when 'unexplained' then 1 else 2 end as rank,
         case when field = '' then 'the object' else field end as told,
         substr(commit_sha, 1, 12)
           || case when pull_request is null then '' else ' (#' || cast(pull_request as text) || ')' end
           as setter
  from live_fields
  where coalesce(approval, '') not in ('approved', 'waived')
),
firsts as (
  select s.*, row_number() over (partition by cluster, api_group, kind, namespace, name, rank, field
           order by commit_sha, repository, pull_request) as turn
  from setters s
),
numbered as (
  select f.*,
         row_number() over (partition by cluster, api_group, kind, namespace, name
           order by rank, field) as place,
         count(*) over (partition by cluster, api_group, kind, namespace, name, rank) as alike
  from firsts f where turn = 1
),
doubts as (
  select d.*,
         case when d.alike = 1 then '' else ', and ' || cast(d.alike - 1 as text)
           || case when d.alike = 2 then ' more field: ' else ' more fields: ' end
           || b.told || ' by ' || b.setter
           || case when c.told is null then '' else ', ' || c.told || ' by ' || c.setter end
           || case when d.alike > 3 then ', ...' else '' end end as further
  from numbered d
  left join numbered b on b.place = 2 and b.rank = d.rank and b.cluster = d.cluster
    and b.api_group = d.api_group and b.kind = d.kind and b.namespace = d.namespace and b.name = d.name
  left join numbered c on c.place = 3 and c.rank = d.rank and c.cluster = d.cluster
    and c.api_group = d.api_group and c.kind = d.kind and c.namespace = d.namespace and c.name = d.name
  where d.place = 1
),
judged as (
  select l.*, u.page, coalesce(o.environment, e.environment, '') as environment, d.told,
         d.setter, d.commit_sha as set_by, d.further,
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
  left join owners o on l.application <> '' and o.controller_cluster = l.controller_cluster
    and o.application_namespace = l.application_namespace and o.application = l.application
  left join places e on coalesce(l.application, '') = '' and e.cluster = l.cluster
    and e.destination_namespace = l.namespace
  left join doubts d on d.cluster = l.cluster and d.api_group = l.api_group
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
           || told || ' was set by ' || setter || further
         when finding = 'not looked at' and coalesce(reason, '') = '' then 'it was not looked at'
         when finding = 'not approved' then 'not approved: ' || coalesce(reason, '')
         when finding = 'not known' then 'nothing is known of an approval: ' || coalesce(reason, '')
         else coalesce(reason, '')
       end as reason,
       cast(evidence_position as text) as evidence,
       coalesce(nullif(seen_at, ''), observed_at) as occurred_at,
       environment, application, '' as owner, page as url,
       cluster, api_group, kind, namespace, name, repository, branch, path, state, approval, grade,
       synced_commit_sha, changed_commit_sha, pull_request, observed_at, manager, changed_at, differences,
       recorded_at
from judged
