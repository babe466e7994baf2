select 1 from {{ ref('customers') }} having sum(total) <> 3.75
