{{ config(materialized='view') }}
select customer, count(*) as orders, sum(price) as total, max(at) as last_at from {{ ref('orders') }} group by customer
