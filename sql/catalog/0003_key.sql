-- Data keys of the secrets in boathouse_object, wrapped by a master key that is elsewhere: `master` tells which, `wrapped` is
-- Base64. There is one: a new key takes the place of the old one in one transaction.
CREATE TABLE boathouse_key (
    key_id BIGINT PRIMARY KEY,
    master VARCHAR NOT NULL,
    wrapped VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL
);
