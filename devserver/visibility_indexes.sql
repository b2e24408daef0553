-- Makes the indexes of a Temporal visibility store on PostgreSQL cheaper to keep.
--
-- Temporal's schema indexes each search attribute that a workflow may have, and an index has an entry for every workflow,
-- also for those without the attribute. So the two writes that each workflow costs here, when it starts and when it
-- closes, go into more than 70 indexes, nearly all of them with nothing to say. This leaves workflows without an
-- attribute out of its index. A query for a value of the attribute finds what it found, with the same index.
--
-- It changes what is not changed yet, so it can be run again, and should be after an upgrade of the schema. While it
-- runs, nothing is written into the store, and Temporal tries again later. For a server of your own:
--
--     psql -v ON_ERROR_STOP=1 -f visibility_indexes.sql temporal_visibility
DO LANGUAGE plpgsql $$
DECLARE
    index record;
BEGIN
    FOR index IN
        -- The first column is the namespace, the second the attribute. What PostgreSQL computes for the order comes after it.
        SELECT i.indexrelid::regclass AS name, pg_get_indexdef(i.indexrelid) AS definition, a.attname AS attribute
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[1]
        WHERE i.indrelid = 'executions_visibility'::regclass AND NOT i.indisunique AND i.indpred IS NULL AND NOT a.attnotnull
    LOOP
        EXECUTE format('DROP INDEX %s', index.name);
        EXECUTE format('%s WHERE %I IS NOT NULL', index.definition, index.attribute);
    END LOOP;
END
$$;
