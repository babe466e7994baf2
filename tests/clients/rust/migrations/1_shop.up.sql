CREATE TABLE shop (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE visit (shop bigint NOT NULL REFERENCES shop ON DELETE CASCADE, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX visit_shop ON visit (shop, at);
INSERT INTO shop (name) VALUES ('first');
