select
    server_id,
    valid_from,
    valid_to,
    name,
    category,
    status,
    source
from {{ source('raw', 'servers') }}
