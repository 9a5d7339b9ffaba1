-- migrate:up
SET lock_timeout = '5s';

-- The consumer is gone with the cache of customer cards (ADR 0007): nobody would ever finish what is left for it.
DELETE FROM deliveries WHERE consumer = 'customers.forget_card';

-- migrate:down
SELECT 1;
