-- How many alerts there are, by what lists group by and charts show: counted as alerts are opened, changed and deleted,
-- so that no page counts a million. The triggers only add rows to alerts_alertdelta, so no two transactions wait for
-- each other; a task adds those to the tallies (drift.alerts.actions.fold_tallies). The views show both together: exact
-- in every snapshot, however late the task is.

CREATE TABLE alerts_alertdelta (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    count integer NOT NULL CHECK (count IN (-1, 1)),
    first_seen timestamptz NOT NULL,
    provider text NOT NULL,
    cluster_id bigint NOT NULL,
    binary_id bigint NOT NULL,
    status text NOT NULL,
    rule_id text NOT NULL,
    image_name text NOT NULL,
    namespace text NOT NULL,
    verdict text NOT NULL,
    created_at timestamptz NOT NULL,
    acknowledged_at timestamptz,
    closed_at timestamptz
);

CREATE TABLE alerts_hourtally (
    hour timestamptz NOT NULL,
    provider text NOT NULL,
    status text NOT NULL,
    count bigint NOT NULL,
    acknowledged bigint NOT NULL,
    acknowledged_seconds double precision NOT NULL,
    closed bigint NOT NULL,
    closed_seconds double precision NOT NULL,
    PRIMARY KEY (hour, provider, status)
) WITH (fillfactor = 80);

-- Each alert twice, under its day and its week from Monday: ninety days are then twelve weeks and a few days to add.
CREATE TABLE alerts_periodtally (
    dimension text NOT NULL,
    period text NOT NULL CHECK (period IN ('day', 'week')),
    start date NOT NULL,
    key text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (dimension, period, start, key)
) WITH (fillfactor = 80);

CREATE TABLE alerts_totaltally (
    dimension text NOT NULL,
    key text NOT NULL,
    status text NOT NULL,
    count bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (dimension, key, status)
) WITH (fillfactor = 80);

-- The same by cluster, with many more rows: read only for one page's keys, or for some clusters.
CREATE TABLE alerts_grouptally (
    dimension text NOT NULL,
    key text NOT NULL,
    cluster_id bigint NOT NULL,
    status text NOT NULL,
    count bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (dimension, key, cluster_id, status)
) WITH (fillfactor = 80);
CREATE INDEX alerts_grouptally_of_cluster ON alerts_grouptally (cluster_id, dimension);

-- A string may be longer than an index entry can be: it is counted under its first 512 characters.
CREATE FUNCTION alerts_dimensions(rule_id text, image_name text, namespace text, binary_id bigint)
RETURNS TABLE (dimension text, key text) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    VALUES ('rule', left(rule_id, 512)), ('image', left(image_name, 512)), ('namespace', left(namespace, 512)),
           ('binary', binary_id::text)
$$;

CREATE FUNCTION alerts_periods(at timestamptz) RETURNS TABLE (period text, start date) LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    VALUES ('day', (at AT TIME ZONE 'UTC')::date), ('week', date_trunc('week', at AT TIME ZONE 'UTC')::date)
$$;

-- How long reviewers took. Alerts that a rule suppressed are left out: no reviewer worked on them.
CREATE VIEW alerts_openedbyhour AS
SELECT hour, provider, status, count, acknowledged, acknowledged_seconds, closed, closed_seconds
FROM alerts_hourtally
UNION ALL
SELECT date_trunc('hour', first_seen, 'UTC'), provider, status, count,
       CASE WHEN acknowledged_at IS NULL OR verdict = 'suppressed' THEN 0 ELSE count END,
       CASE WHEN verdict = 'suppressed' THEN 0
            ELSE coalesce(extract(epoch FROM acknowledged_at - created_at)::double precision, 0) * count END,
       CASE WHEN closed_at IS NULL OR verdict = 'suppressed' THEN 0 ELSE count END,
       CASE WHEN verdict = 'suppressed' THEN 0
            ELSE coalesce(extract(epoch FROM closed_at - created_at)::double precision, 0) * count END
FROM alerts_alertdelta;

CREATE VIEW alerts_openedbyperiod AS
SELECT dimension, period, start, key, count FROM alerts_periodtally
UNION ALL
SELECT each.dimension, span.period, span.start, each.key, count
FROM alerts_alertdelta, alerts_dimensions(rule_id, image_name, namespace, binary_id) AS each,
     alerts_periods(first_seen) AS span;

CREATE VIEW alerts_alerttotal AS
SELECT dimension, key, status, count, first_seen, last_seen FROM alerts_totaltally
UNION ALL
SELECT each.dimension, each.key, status, count, first_seen, first_seen
FROM alerts_alertdelta, alerts_dimensions(rule_id, image_name, namespace, binary_id) AS each;

CREATE VIEW alerts_alertgroup AS
SELECT dimension, key, cluster_id, status, count, first_seen, last_seen FROM alerts_grouptally
UNION ALL
SELECT each.dimension, each.key, cluster_id, status, count, first_seen, first_seen
FROM alerts_alertdelta, alerts_dimensions(rule_id, image_name, namespace, binary_id) AS each;

CREATE FUNCTION alerts_count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                                   namespace, verdict, created_at, acknowledged_at, closed_at)
    SELECT CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END,
           first_seen, provider, cluster_id, binary_id, status, rule_id, image_name, namespace,
           verdict, created_at, acknowledged_at, closed_at
    FROM changed JOIN (
        SELECT cluster.id AS cluster_id, provider
        FROM fleet_cluster AS cluster JOIN fleet_environment AS environment ON environment.id = environment_id
    ) AS place USING (cluster_id);
    RETURN NULL;
END $$;
CREATE TRIGGER opened_is_counted AFTER INSERT ON alerts_alert REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION alerts_count_rows();
CREATE TRIGGER deleted_is_counted AFTER DELETE ON alerts_alert REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION alerts_count_rows();

CREATE FUNCTION alerts_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                                   namespace, verdict, created_at, acknowledged_at, closed_at)
    SELECT sign,
           first_seen, provider, cluster_id, binary_id, status, rule_id, image_name, namespace,
           verdict, created_at, acknowledged_at, closed_at
    FROM (SELECT -1 AS sign, OLD.* UNION ALL SELECT 1, NEW.*) AS changed JOIN (
        SELECT cluster.id AS cluster_id, provider
        FROM fleet_cluster AS cluster JOIN fleet_environment AS environment ON environment.id = environment_id
    ) AS place USING (cluster_id);
    RETURN NULL;
END $$;
CREATE TRIGGER change_is_counted AFTER UPDATE ON alerts_alert FOR EACH ROW
    WHEN ((OLD.status, OLD.verdict, OLD.first_seen, OLD.acknowledged_at, OLD.closed_at)
          IS DISTINCT FROM (NEW.status, NEW.verdict, NEW.first_seen, NEW.acknowledged_at, NEW.closed_at))
    EXECUTE FUNCTION alerts_count_change();

-- Count existing alerts. Creating the triggers locks the table until this commits: seconds for a million alerts.
INSERT INTO alerts_alertdelta (count, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name,
                               namespace, verdict, created_at, acknowledged_at, closed_at)
SELECT 1, first_seen, provider, cluster_id, binary_id, status, rule_id, image_name, namespace,
       verdict, created_at, acknowledged_at, closed_at
FROM alerts_alert JOIN (
    SELECT cluster.id AS cluster_id, provider
    FROM fleet_cluster AS cluster JOIN fleet_environment AS environment ON environment.id = environment_id
) AS place USING (cluster_id);
