{# What check.py runs between the commands. #}
{% macro later() %}
  {% do run_query("update " ~ ref('raw_orders') ~ " set price = 9, at = '2020-02-01' where id = 2") %}
  {% do run_query("delete from " ~ ref('raw_orders') ~ " where id = 3") %}
  {% do run_query("insert into " ~ ref('raw_orders') ~ " values (4, 'ann', 5, '2020-03-01', true)") %}
  {% do run_query("commit") %}
{% endmacro %}
{% macro same(sql, wanted) %}
  {% set got = run_query(sql).rows | map('join', '|') | join(';') %}
  {% if got != wanted %}{{ exceptions.raise_compiler_error(sql ~ ": wanted " ~ wanted ~ ", got " ~ got) }}{% endif %}
{% endmacro %}
{% macro first() %}
  {{ same("select id, customer, price, ok from " ~ ref('orders') ~ " order by id", "1|ann|1.50|True;2|bob|2.25|False;3|ann|0.00|True") }}
  {{ same("select id, n from " ~ ref('lines') ~ " order by id", "1|1;2|1;3|2") }}
  {{ same("select indexdef like 'CREATE UNIQUE%' from pg_indexes where schemaname = 'dbt_check' and tablename = 'orders' order by 1", "False;True") }}
  {{ same("select obj_description('dbt_check.orders'::regclass), col_description('dbt_check.orders'::regclass, 1)", "what was \"bought\"; it's one row an order|the number") }}
  {{ same("select conname, contype from pg_constraint where conrelid = 'dbt_check.contract'::regclass and contype <> 'n' order by 2", "positive|c;contract__dbt_tmp_pkey|p") }}
{% endmacro %}
{% macro second() %}
  {{ same("select id, price, ok from " ~ ref('events') ~ " order by id", "1|1.50|None;2|9.00|False;3|0.00|None;4|5.00|True") }}
  {{ same("select id, n from " ~ ref('lines') ~ " order by id", "1|1;2|1;3|2;4|2") }}
  {{ same("select id, price, dbt_valid_to is null from " ~ ref('prices') ~ " order by dbt_valid_from, id", "1|1.50|True;2|2.25|False;3|None|False;2|9.00|True;4|5.00|True") }}
  {{ same("select id, dbt_valid_to is null from " ~ ref('times') ~ " order by dbt_valid_from, id", "1|True;2|False;3|True;2|True;4|True") }}
{% endmacro %}
{% macro drop_orders() %}
  {% do run_query("drop table dbt_check.orders cascade; commit") %}
{% endmacro %}
{% macro end() %}
  {% do adapter.drop_schema(api.Relation.create(database=target.database, schema='dbt_check')) %}
  {% do run_query("commit") %}
{% endmacro %}
