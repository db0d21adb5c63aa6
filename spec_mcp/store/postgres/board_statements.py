"""The board's statements. Each is one step for everybody: it sees the board as it was at one moment.

`us` is the replica that asks, where it is a member and the board has lost nothing since it joined. Results of
statements that tell others (`pg_notify`) are counted, since what nobody asks for is not done.
"""

from __future__ import annotations

from typing import Final

CHANNEL: Final = "spec_mcp_board"
"""On which news go round, as JSON: the fence of who tells them, then what there is to tell."""

LISTEN: Final = f"LISTEN {CHANNEL}"

FRESH: Final = "(r.is_active AND clock_timestamp() BETWEEN r.renewed_at AND r.expires_at)"

US: Final = """
    us AS MATERIALIZED (
        SELECT r.fence, r.is_active AND clock_timestamp() BETWEEN r.renewed_at AND r.expires_at AS is_fresh
        FROM replicas r JOIN board_life USING (life) WHERE r.fence = %(fence)s
    )
"""

SETTINGS: Final = """
    SELECT set_config('synchronous_commit', 'off', false),
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('plan_cache_mode', 'force_generic_plan', false),
        set_config('enable_seqscan', 'off', false),
        set_config('jit', 'off', false)
"""
"""Nothing here is worth a wait for the disk but the list of replicas. A plan made while the tables were empty must do
for full ones."""

POST: Final = f"""
    WITH {US},
    posted AS (
        INSERT INTO postings (fence, post, footprint, tokens, writes, dies_with_us)
        SELECT us.fence, p.post, p.footprint, p.tokens, p.writes, p.dies_with_us
        FROM us, json_to_recordset(%(posts)s::json)
            AS p (post bigint, footprint text, tokens text[], writes boolean, dies_with_us boolean)
    ),
    told AS (SELECT pg_notify('{CHANNEL}', news) FROM us, unnest(%(news)s::text[]) AS news)
    SELECT us.fence, (SELECT count(*) FROM told) AS told FROM us
"""

UNPOST: Final = """
    UPDATE postings SET closed_no = nextval('board_numbers')
    WHERE fence = %(fence)s AND post = ANY(%(posts)s::bigint[]) AND closed_no IS NULL
"""

OFFER: Final = f"""
    WITH {US},
    offered AS (
        INSERT INTO offers (fence, digest, footprint, tokens, probes, ttl_s, may_be_overtaken, launched_at)
        SELECT us.fence, %(digest)s, %(footprint)s, %(tokens)s::text[], %(probes)s::text[], %(ttl_s)s,
            %(may_be_overtaken)s, clock_timestamp()
        FROM us
        RETURNING fence, offer, digest, fate
    ),
    told AS (
        SELECT pg_notify('{CHANNEL}', json_build_array(fence, offer, digest, fate)::text)
        FROM offered WHERE digest <> ''
    )
    SELECT offer, (SELECT count(*) FROM told) AS told FROM offered
"""

SHOW: Final = f"""
    WITH shown AS (
        UPDATE offers SET fate = %(fate)s, result = %(result)b, returned_no = nextval('board_numbers')
        WHERE offer = %(offer)s AND fence = %(fence)s
        RETURNING fence, offer, digest, fate
    )
    SELECT pg_notify('{CHANNEL}', json_build_array(fence, offer, digest, fate)::text) FROM shown WHERE digest <> ''
"""

WITHDRAW: Final = f"""
    WITH gone AS (
        DELETE FROM offers WHERE offer = ANY(%(offers)s::bigint[]) AND fence = %(fence)s RETURNING fence, offer, digest
    )
    SELECT pg_notify('{CHANNEL}', json_build_array(fence, offer, digest, 'gone')::text) FROM gone WHERE digest <> ''
"""

TAKE: Final = f"""
    WITH {US},
    silent AS MATERIALIZED (
        SELECT count(*) AS count FROM replicas r LEFT JOIN board_life USING (life)
        WHERE one IS NULL OR NOT {FRESH}
    ),
    wanted AS MATERIALIZED (
        SELECT o.offer, o.footprint, o.probes, o.may_be_overtaken, o.fence = %(fence)s AS own,
            CASE WHEN o.fence = %(fence)s THEN 'ready' WHEN o.digest = '' THEN 'gone' ELSE o.fate END AS fate,
            extract(epoch FROM clock_timestamp() - o.launched_at)::double precision AS age_s, o.ttl_s
        FROM offers o JOIN replicas r USING (fence) WHERE o.offer = %(offer)s
    ),
    in_the_way AS MATERIALIZED (
        SELECT p.number, p.footprint, w.offer FROM wanted w JOIN postings p ON p.tokens && w.probes
        WHERE (p.closed_no IS NULL OR p.closed_no > w.offer) AND (p.writes OR w.may_be_overtaken)
            AND NOT (w.own AND p.fence = %(fence)s) AND p.number <> ALL(%(harmless)s::bigint[])
        LIMIT %(most)s
    ),
    allowed AS MATERIALIZED (
        SELECT w.offer, w.own FROM us, silent, wanted w
        WHERE us.is_fresh AND silent.count = 0 AND w.fate = 'ready' AND w.age_s BETWEEN 0 AND coalesce(w.ttl_s, w.age_s)
            AND NOT EXISTS (SELECT FROM in_the_way)
    ),
    spent AS (
        DELETE FROM offers o USING allowed a WHERE o.offer = a.offer AND NOT %(keep)s::boolean
        RETURNING o.offer, o.digest, o.footprint, o.tokens, o.returned_no,
            CASE WHEN NOT a.own THEN o.result END AS result
    ),
    given AS MATERIALIZED (
        SELECT * FROM spent UNION ALL
        SELECT o.offer, o.digest, o.footprint, o.tokens, o.returned_no, CASE WHEN NOT a.own THEN o.result END
        FROM offers o JOIN allowed a USING (offer) WHERE %(keep)s::boolean
    ),
    seen AS (
        INSERT INTO postings (fence, footprint, tokens, writes, closed_no)
        SELECT %(fence)s, footprint, tokens, false, coalesce(returned_no, nextval('board_numbers')) FROM given
    ),
    told AS (
        SELECT pg_notify('{CHANNEL}', json_build_array(%(fence)s::bigint, offer, digest, 'taken')::text)
        FROM spent WHERE digest <> ''
    )
    SELECT coalesce((SELECT is_fresh FROM us), false) AS is_fresh, (SELECT count FROM silent) AS silent,
        w.fate, w.age_s, w.ttl_s, w.footprint, g.offer IS NOT NULL AS is_given, g.result,
        (SELECT count(*) FROM told) AS told,
        (SELECT json_agg(json_build_array(number, footprint)) FROM in_the_way) AS in_the_way
    FROM (SELECT) one LEFT JOIN wanted w ON true LEFT JOIN given g ON true
"""
"""A gift, or all that tells why there is none. `number` alone stands for a posting; `most` bounds how many are told."""

# --- members ----------------------------------------------------------------------------------------------------------

NEXT_FENCE: Final = "SELECT nextval('board_numbers') AS fence"

WAIT_FOR_TURN: Final = f"SELECT pg_advisory_xact_lock(hashtext('{CHANNEL}'))"
"""Offers are ended by the hundred by one replica at a time."""

DURABLY: Final = "SELECT set_config('synchronous_commit', 'on', true)"

MAKE_LIFE: Final = "INSERT INTO board_life (life) VALUES (gen_random_uuid()) ON CONFLICT DO NOTHING"

MEMBERS: Final = f"""
    SELECT r.replica, r.host, r.pid, r.started, r.fence, one IS NOT NULL AND {FRESH} AS is_current,
        extract(epoch FROM clock_timestamp() - r.renewed_at)::double precision AS silent_s
    FROM replicas r LEFT JOIN board_life USING (life)
    WHERE (%(replica)s::text IS NULL OR r.replica = %(replica)s) AND (%(fence)s::bigint IS NULL OR r.fence = %(fence)s)
    ORDER BY r.replica
"""

NOTICE_CLOCK: Final = "UPDATE replicas SET life = gen_random_uuid() WHERE renewed_at > clock_timestamp()"
"""It was set back: by and by such a lease would seem fresh."""

JOIN: Final = """
    INSERT INTO replicas (replica, host, pid, started, fence, life, lease_s, renewed_at, expires_at)
    SELECT %(replica)s, %(host)s, %(pid)s, %(started)s, %(fence)s, life, %(lease_s)s, clock_timestamp(),
        clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM board_life
    ON CONFLICT (replica) DO UPDATE SET host = excluded.host, pid = excluded.pid, started = excluded.started,
        fence = excluded.fence, life = excluded.life, lease_s = excluded.lease_s, renewed_at = excluded.renewed_at,
        expires_at = excluded.expires_at, is_active = false
"""

RENEW: Final = f"""
    UPDATE replicas r
    SET renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => r.lease_s)
    FROM board_life l WHERE r.fence = %(fence)s AND r.life = l.life AND {FRESH}
    RETURNING r.fence
"""

BEGIN: Final = f"""
    WITH begun AS (
        UPDATE replicas r SET is_active = true,
            renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => r.lease_s)
        FROM board_life l WHERE r.fence = %(fence)s AND r.life = l.life AND NOT r.is_active
            AND clock_timestamp() BETWEEN r.renewed_at AND r.expires_at
        RETURNING r.fence
    ),
    ended AS (DELETE FROM offers WHERE EXISTS (SELECT FROM begun))
    SELECT fence, pg_notify('{CHANNEL}', json_build_array(fence)::text) FROM begun
"""

FORGET_POSTINGS: Final = "DELETE FROM postings WHERE fence = %(fence)s"

ABANDON: Final = """
    UPDATE postings SET
        closed_no = CASE WHEN writes AND NOT dies_with_us THEN NULL ELSE nextval('board_numbers') END,
        abandoned_at = CASE WHEN writes AND NOT dies_with_us THEN clock_timestamp() END
    WHERE fence = %(fence)s AND closed_no IS NULL AND abandoned_at IS NULL
"""

SUSPECT: Final = """
    INSERT INTO postings (fence, footprint, tokens, writes, abandoned_at)
    VALUES (%(fence)s, '', %(tokens)s::text[], true, clock_timestamp())
"""
"""It may have written anything unseen."""

STRIKE: Final = "DELETE FROM replicas WHERE fence = %(fence)s"

END_OFFERS: Final = f"""
    WITH ended AS (DELETE FROM offers) SELECT pg_notify('{CHANNEL}', json_build_array(0)::text)
"""

# --- upkeep -----------------------------------------------------------------------------------------------------------

SWEEP_TURN: Final = f"""
    SELECT pg_try_advisory_xact_lock(hashtext('{CHANNEL}')) AS ours FROM replicas WHERE fence = %(fence)s
"""

LET_GO: Final = """
    UPDATE postings SET closed_no = nextval('board_numbers'), abandoned_at = NULL
    WHERE abandoned_at < clock_timestamp() - make_interval(secs => %(abandoned_s)s)
"""

ORPHANS: Final = """
    UPDATE postings p SET abandoned_at = clock_timestamp()
    WHERE closed_no IS NULL AND abandoned_at IS NULL AND NOT EXISTS (SELECT FROM replicas r WHERE r.fence = p.fence)
"""
"""Posted so late by a network that its replica had joined again or was gone."""

TOO_OLD: Final = f"""
    WITH oldest AS (
        SELECT closed_no FROM postings WHERE closed_no IS NOT NULL ORDER BY closed_no DESC OFFSET %(most)s LIMIT 1
    ),
    gone AS (
        DELETE FROM offers o
        WHERE clock_timestamp() - launched_at > make_interval(secs => ttl_s)
            OR offer < (SELECT closed_no FROM oldest)
            OR NOT EXISTS (SELECT FROM replicas r WHERE r.fence = o.fence)
        RETURNING offer, digest
    )
    SELECT pg_notify('{CHANNEL}', json_build_array(0, offer, digest, 'gone')::text) FROM gone WHERE digest <> ''
"""

FORGET_CLOSED: Final = """
    DELETE FROM postings WHERE closed_no < (SELECT coalesce(min(offer), 9223372036854775807) FROM offers)
"""
