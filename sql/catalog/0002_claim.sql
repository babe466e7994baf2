-- Hashes of the keys that recent commits gave their rows, 16 hexadecimal digits each, for other servers on the same
-- database; NULL: too many to keep. `version`: of the server that hashed them. `arbitrated`: whether a key may be free again
-- by the same commit.
CREATE TABLE boathouse_claim (
    snapshot_id BIGINT NOT NULL,
    index_id BIGINT NOT NULL,
    version VARCHAR NOT NULL,
    arbitrated BIGINT NOT NULL,
    hashes VARCHAR,
    PRIMARY KEY (snapshot_id, index_id)
);
