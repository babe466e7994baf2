{{ config(materialized='incremental') }}
with recent as (select * from {{ ref('helper') }}) select id, n from recent {% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}
