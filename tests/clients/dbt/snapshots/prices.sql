{% snapshot prices %}
{{ config(target_schema='dbt_check', unique_key='id', strategy='check', check_cols=['price'], hard_deletes='invalidate') }}
select id, price from {{ ref('raw_orders') }}
{% endsnapshot %}
