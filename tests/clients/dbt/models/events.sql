{{ config(materialized='incremental', unique_key='id', incremental_strategy=var('strategy', 'delete+insert'), on_schema_change='append_new_columns') }}
select id, customer, price, at {% if var('wide', false) %}, ok {% endif %} from {{ ref('orders') }}
{% if is_incremental() %} where at >= (select max(at) from {{ this }}) {% endif %}
