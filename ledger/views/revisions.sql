-- view: Every mainline revision: one first-parent step of a tracked branch, with its best link.
-- repository: The source's name.
-- branch: The tracked branch.
-- number: The first-parent step, from 1; unique on the current line only.
-- commit_sha: The commit of this step.
-- committed_at: When it was committed, as claimed (UTC).
-- authored_at: When it was written, as claimed (UTC).
-- landed_at: When the branch moved to it (UTC): seen by the ledger, else inferred.
-- landed_grade: reported where the ledger saw the branch move, inferred where it is the running maximum of committed_at.
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
select r.repository, r.branch, r.number, r.commit_sha, r.committed_at, c.authored_at,
       case when m.kind in ('fast_forward', 'forced') then m.recorded_at else r.landed_floor end as landed_at,
       case when m.kind in ('fast_forward', 'forced') then 'reported' else 'inferred' end as landed_grade,
       c.author_name, c.author_email, c.subject, c.signature_status,
       l.number as pull_request, coalesce(l.grade, 'unlinked') as link_grade,
       coalesce(l.reason, (select x.reason from model_link x where x.repository = r.repository
           and x.commit_sha = r.commit_sha and x.role = 'contradicted' order by x.number limit 1),
         'a direct push, as far as Git shows: no pull request is named or matched') as link_reason,
       r.superseded, r.evidence_position, r.recorded_at
from model_revision r
join model_commit c on c.repository = r.repository and c.commit_sha = r.commit_sha
left join model_ref_move m on m.key = r.move
left join model_link l on l.repository = r.repository and l.commit_sha = r.commit_sha and l.best = 1
