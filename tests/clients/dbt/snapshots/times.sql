{% snapshot times %}
{{ config(target_schema='dbt_check', unique_key='id', strategy='timestamp', updated_at='at') }}
select id, at, customer from {{ ref('raw_orders') }}
{% endsnapshot %}
