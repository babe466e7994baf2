{{ config(materialized='ephemeral') }}
select id, row_number() over (partition by customer order by at) as n from {{ ref('orders') }}
