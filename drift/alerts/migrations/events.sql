CREATE TABLE alerts_driftevent (
    observed_on date NOT NULL,
    sensor_id uuid NOT NULL,
    event_id uuid NOT NULL,
    mode text NOT NULL CHECK (mode IN ('exec', 'summary')),
    count bigint NOT NULL CHECK (count >= 1),
    observed_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    workload_id bigint NOT NULL,
    binary_id bigint NOT NULL,
    fingerprint uuid NOT NULL,
    parent_name text NOT NULL,
    pod_name text NOT NULL,
    container_id text NOT NULL,
    action text NOT NULL CHECK (action IN ('alert', 'block', 'ignore')),
    rule text NOT NULL,
    reason text NOT NULL,
    policy_number integer,
    outcome text NOT NULL CHECK (outcome IN ('none', 'blocked', 'not_blocked')),
    outcome_reason text NOT NULL,
    detail jsonb,
    PRIMARY KEY (observed_on, sensor_id, event_id)
) PARTITION BY RANGE (observed_on);
-- For an alert's occurrences. Partial, because nine events in ten are ignored and belong to no alert.
CREATE INDEX alerts_driftevent_of_alert ON alerts_driftevent (fingerprint, observed_at) WHERE action <> 'ignore';
-- Every event updates a pulse: free space in the page lets PostgreSQL update the row in place (HOT).
ALTER TABLE alerts_alertpulse SET (fillfactor = 60);
ALTER TABLE alerts_alerthour SET (fillfactor = 80);

CREATE FUNCTION alerts_refuse_activity_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an alert''s timeline is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER timeline_is_append_only BEFORE UPDATE OR TRUNCATE ON alerts_alertactivity
    FOR EACH STATEMENT EXECUTE FUNCTION alerts_refuse_activity_change();
