ALTER TABLE shop ADD COLUMN town text NOT NULL DEFAULT 'Rome';
COMMENT ON COLUMN shop.town IS 'where it is';
CREATE VIEW towns AS SELECT town, count(*) AS shops FROM shop GROUP BY town;
