#!/bin/sh
# Run once by the image of PostgreSQL: the two roles and the database (docs/operators.md#two-database-roles).
set -eu
psql --set=ON_ERROR_STOP=1 --set=owner="$OWNER_PASSWORD" --set=portal="$PORTAL_PASSWORD" --username postgres <<'SQL'
CREATE ROLE driftwatch_owner LOGIN PASSWORD :'owner';
CREATE ROLE driftwatch_portal LOGIN PASSWORD :'portal';
CREATE DATABASE driftwatch OWNER driftwatch_owner;
\connect driftwatch
ALTER SCHEMA public OWNER TO driftwatch_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SQL
