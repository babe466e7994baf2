{{ config(materialized='table', indexes=[{'columns': ['id'], 'unique': true}, {'columns': ['customer', 'at']}], post_hook="grant select on {{ this }} to public") }}
select id, customer, coalesce(price, 0.00) as price, at, ok from {{ ref('raw_orders') }}
