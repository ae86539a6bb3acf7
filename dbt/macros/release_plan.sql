{#
    The closed plan of everything that leaves the platform, as data: nothing is released to a table
    that does not stand here. One entry per table:

    kinds       periods it is released for
    day_column, kind_column, count_column
                where period, kind and number of people go; without a count column every person
                becomes a row of their own
    dimensions  the class (quasi-identifiers), with types; a dimension that a step of the ladder
                does not name is generalised to 'any' (text) or empty (numbers)
    ladder      steps from fine to coarse: dimension -> column of the model (a leaf). People whose
                class is too small at one step go on to the next; who is left is held back
    means       released with a class: name -> the column whose mean over its people it is
    raw         retention classes that must still be there in full when the period closes
#}
{% macro release_plan() -%}
    {%- set profile = {
        'event_type': 'text',
        'archetype': 'text',
        'activity_score_bucket': 'integer',
        'collab_score_bucket': 'integer',
        'diversity_score_bucket': 'integer',
        'ai_savviness_bucket': 'integer',
        'ai_percentage_bucket': 'integer',
        'top_languages': 'text',
        'tools_detected': 'text',
        'template_used': 'text',
    } -%}
    {{- return({
        'anonymous.analytics_events': {
            'kinds': ['day'],
            'day_column': 'created_at',
            'dimensions': profile,
            'ladder': [
                {
                    'event_type': 'event_type',
                    'archetype': 'archetype',
                    'activity_score_bucket': 'activity_10',
                    'collab_score_bucket': 'collab_10',
                    'diversity_score_bucket': 'diversity_10',
                    'ai_savviness_bucket': 'savviness_10',
                    'ai_percentage_bucket': 'ai_5',
                    'top_languages': 'language',
                    'tools_detected': 'tool',
                    'template_used': 'template',
                },
                {
                    'event_type': 'event_type',
                    'archetype': 'archetype',
                    'top_languages': 'language',
                    'ai_percentage_bucket': 'ai_5',
                    'ai_savviness_bucket': 'savviness_10',
                },
                {
                    'archetype': 'archetype',
                    'top_languages': 'family',
                    'ai_percentage_bucket': 'ai_10',
                    'ai_savviness_bucket': 'savviness_20',
                },
                {'archetype': 'archetype', 'ai_percentage_bucket': 'ai_10'},
                {'archetype': 'archetype'},
                {},
            ],
            'means': {},
            'raw': ['analytics'],
        },
        'published.ai_usage_trends': {
            'kinds': ['week'],
            'day_column': 'week',
            'count_column': 'analyses_count',
            'dimensions': {},
            'ladder': [{}],
            'means': {'avg_ai_percentage': 'ai_5'},
            'raw': ['analytics'],
        },
        'published.archetype_distribution': {
            'kinds': ['month'],
            'day_column': 'period',
            'count_column': 'count',
            'dimensions': {'archetype': 'text'},
            'ladder': [{'archetype': 'archetype'}, {}],
            'means': {'avg_ai_score': 'savviness_10'},
            'raw': ['analytics'],
        },
        'published.event_trends': {
            'kinds': ['day', 'week', 'month'],
            'day_column': 'period',
            'kind_column': 'period_kind',
            'count_column': 'n_people',
            'dimensions': {'event_category': 'text', 'event_type': 'text'},
            'ladder': [
                {'event_category': 'event_category', 'event_type': 'event_type'},
                {'event_category': 'event_category'},
                {},
            ],
            'means': {},
            'raw': [],
        },
        'published.install_trends': {
            'kinds': ['week', 'month'],
            'day_column': 'period',
            'kind_column': 'period_kind',
            'count_column': 'n_people',
            'dimensions': {'server_id': 'text'},
            'ladder': [{'server_id': 'server_id'}, {}],
            'means': {},
            'raw': ['registry'],
        },
        'published.search_trends': {
            'kinds': ['week', 'month'],
            'day_column': 'period',
            'kind_column': 'period_kind',
            'count_column': 'n_people',
            'dimensions': {'query': 'text'},
            'ladder': [{'query': 'query'}, {}],
            'means': {},
            'raw': ['registry'],
        },
    }) -}}
{%- endmacro %}

{# Kept in the ledger: change it with the plan or the rule. #}
{% macro release_plan_version() -%}
    {{- return('k11-1') -}}
{%- endmacro %}

{# Days between the end of a period and its closing, for late data. #}
{% macro release_hold_back() -%}
    {{- return({'day': 3, 'week': 5, 'month': 7}) -}}
{%- endmacro %}

{# A class is released with more people than this. #}
{% macro release_floor() -%}
    {{- return(10) -}}
{%- endmacro %}

{# Families of programming languages, in the spelling that is published. #}
{% macro language_families() -%}
    {{- return({
        'web': [
            'JavaScript', 'TypeScript', 'HTML', 'CSS', 'SCSS', 'PHP', 'Ruby', 'Vue', 'Svelte',
            'CoffeeScript', 'Elm',
        ],
        'data': ['Python', 'SQL', 'R', 'Julia', 'Jupyter Notebook', 'MATLAB', 'SAS', 'PLpgSQL'],
        'systems': [
            'C', 'C++', 'Rust', 'Go', 'Zig', 'Assembly', 'Fortran', 'D', 'Nim', 'Ada', 'COBOL',
        ],
        'jvm': ['Java', 'Kotlin', 'Scala', 'Groovy', 'Clojure'],
        'dotnet': ['C#', 'F#', 'Visual Basic .NET'],
        'mobile': ['Swift', 'Objective-C', 'Dart'],
        'functional': ['Haskell', 'OCaml', 'Erlang', 'Elixir', 'Common Lisp', 'Scheme', 'Racket'],
        'scripting': ['Shell', 'PowerShell', 'Lua', 'Perl', 'Tcl', 'Batchfile', 'Makefile'],
    }) -}}
{%- endmacro %}
