-- view: Every name that a source gives to somebody, who that is, and on what ground; one row for each ground.
-- person: Who it is: the name in ledger.toml, else the first login or address of all that are joined.
-- kind: login, email, or name for one that is only shown and joins nothing.
-- value: The login, the address or the name.
-- forge: The host of the forge that a login is of; empty for addresses, and for logins on any forge.
-- joined_to: The login, address or person of ledger.toml that it is joined to; for a name the login or address it is shown with; empty where it is joined to nothing.
-- ground: configuration, told, commit, convention or mailmap; suggestion where another person has the same shown name; null where there is none.
-- grade: How well it is known: reported, inferred, or unlinked where nothing joins it or the ground does not count.
-- reason: Why it is so.
-- counts: 1 where the ground joins the two now, else 0: it was taken back, or ledger.toml gives them to two persons.
-- bot: 1 where it is known to be a program, else 0.
-- valid_from: Since when it was told so (UTC); empty where nothing dates it.
-- valid_until: When it was taken back (UTC); for what merged before, the ground still counts. Empty while it is told.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select coalesce(p.person, e.label) as person, e.kind, e.value, e.forge, e.joined_to, e.ground, e.grade, e.reason,
       e.counts,
       coalesce(p.bot, (select max(b.bot) from model_person_name b
         where b.kind = e.of_kind and b.forge = e.of_forge and b.value = e.of_value), 0) as bot,
       e.valid_from, e.valid_until, e.evidence_position, e.recorded_at
from (
  select one_kind as of_kind, one_forge as of_forge, one_value as of_value, one_kind as kind, one_value as value,
         one_forge as forge, case when one_forge = '' then one_value else one_forge || '/' || one_value end as label,
         case when other_forge = '' then other_value else other_forge || '/' || other_value end as joined_to,
         ground, case when refused = 1 then 'unlinked' else grade end as grade,
         case when refused = 1 and ground <> 'configuration'
           then reason || '; ledger.toml says that they are two persons: a contradiction, not joined'
           else reason end as reason,
         case when refused = 0 and valid_until = '' then 1 else 0 end as counts,
         valid_from, valid_until, evidence_position, recorded_at
  from model_person_joining where one_kind <> 'person'
  union all
  select other_kind, other_forge, other_value, other_kind, other_value, other_forge,
         case when other_forge = '' then other_value else other_forge || '/' || other_value end,
         case when one_forge = '' then one_value else one_forge || '/' || one_value end,
         ground, case when refused = 1 then 'unlinked' else grade end,
         case when refused = 1 and ground <> 'configuration'
           then reason || '; ledger.toml says that they are two persons: a contradiction, not joined'
           else reason end,
         case when refused = 0 and valid_until = '' then 1 else 0 end,
         valid_from, valid_until, evidence_position, recorded_at
  from model_person_joining
  union all
  select n.kind, n.forge, n.value, n.kind, n.value, n.forge,
         case when n.forge = '' then n.value else n.forge || '/' || n.value end, '', null, 'unlinked',
         'nothing joins it to another name', 0, '', '', min(n.evidence_position), min(n.recorded_at)
  from model_person_name n
  where not exists (select 1 from model_person_joining j
    where j.one_kind = n.kind and j.one_forge = n.forge and j.one_value = n.value)
  and not exists (select 1 from model_person_joining j
    where j.other_kind = n.kind and j.other_forge = n.forge and j.other_value = n.value)
  group by n.kind, n.forge, n.value
  union all
  select n.kind, n.forge, n.value, 'name', n.name, n.forge,
         case when n.forge = '' then n.value else n.forge || '/' || n.value end,
         case when n.forge = '' then n.value else n.forge || '/' || n.value end,
         case when o.others > 1 then 'suggestion' end, case when o.others > 1 then 'unlinked' else 'inferred' end,
         case when o.others > 1
           then 'shown with it, and with names of ' || o.others || ' persons: perhaps they are one, but a name joins nothing'
           else 'shown with it' end,
         0, '', '', n.evidence_position, n.recorded_at
  from model_person_name n
  join (select m.folded, count(distinct coalesce(q.person,
               case when m.forge = '' then m.value else m.forge || '/' || m.value end)) as others
        from model_person_name m
        left join model_person q
          on q.kind = m.kind and q.forge = m.forge and q.value = m.value and q.before = ''
        where m.folded <> '' group by m.folded) o on o.folded = n.folded
) e
left join model_person p
  on p.kind = e.of_kind and p.forge = e.of_forge and p.value = e.of_value and p.before = ''
