"""Names of technologies, formats and platforms: capitalised words that name nobody.

Belongs here: the list. Does not: words of everyday English (plain.py). Invariant: no name of
a person is here, even where a product carries it ("Julia", "Jenkins", "Laurel"): masking a product
costs a word, showing a person costs more. "Claude", "Gemini" and the like are products asked about.
"""

from __future__ import annotations

TECHNOLOGIES = frozenset(
    """
    aarch64 access active ai airbyte airflow ajax alembic amazon analytics android angular ansible
    apache api apis app apple apps arch arduino arm arxiv ascii asana async asp athena atom
    aurora auth authentication aws azure babel backbone bash basic bayes bdd bert bigquery bigtable
    binance bitbucket bitcoin blender bluetooth bootstrap bsd bun c ca cad cassandra cd cdn celery
    centos ceph chart chatgpt chef chi chrome chromium ci cisco claude clang cli clickhouse clojure
    cloudflare cloudformation cloudwatch cmake cms cnn cobol codex cohort confluence copilot
    couchbase couchdb cpu cpython crm cron crud css csv ctrl cuda curl cursor cypress d3 dag dagster
    dart dash data databricks datadog db dbms dbt ddl debian delta deno desktop devops dhcp discord
    django dlt dms dns docker dom dotnet dropbox druid duckdb dynamodb ebs ec2 eclipse ecs edge
    electron elasticsearch elixir elk elm embedding emr emacs eks english epub erlang erp es6 eslint
    esp32 etcd ethereum etl excel expo express fargate fastapi fedora figma filebeat firebase
    firefox firestore flask flink flutter fluentd fortran freebsd french ftp gatsby gcc gcp gdpr
    gemini german gif git github gitlab gke glue gmail gnome gnu go godot golang google gpt gpu
    gradle grafana graphql grpc grub gui gulp gzip hadoop haproxy haskell hbase hcl helm heroku hive
    homebrew html html5 http https hubspot huggingface hudi i18n iam ibm ide ids ies iframe imap
    influxdb instagram intel intellij ios iot ip ipad iphone ipv4 ipv6 iso istio jar java javascript
    jax jdbc jdk jest jinja jira jmeter joomla jpa jpeg jpg jquery jre js json jsonl jsp jsx
    junit jupyter jvm jwt k8s kafka kde keras kernel keycloak kibana kinesis kotlin kpi kpis kpop
    kubectl kubernetes lambda langchain langgraph laravel latex ldap less linkedin linux llama llm
    llms localhost logstash looker lstm lua lucene luigi lxc mac macbook macos magento mariadb
    markdown matlab matplotlib maven mcp mediawiki memcached metabase meteor mfa microsoft midi
    minio mistral ml mlflow mobile mobx mongo mongodb mongoose mp3 mp4 mqtt mssql mui mvc mvp mypy
    mysql neo4j nestjs net netbeans netlify next nextjs nfs nginx nlp nltk node nodejs nosql notion
    npm nuget numpy nuxt nvidia oauth oauth2 objective ocaml ocr odbc ok okta ollama onnx oop
    openai openapi opencv opengl openshift openssl opentelemetry oracle orc orm os osx outlook owasp
    pandas parquet paypal pc pdf pep perl php phpmyadmin pickle pii ping pip pipenv playwright
    plotly png podman poetry polars postfix postgis postgres postgresql postman powerbi powerpoint
    powershell prefect presto prisma prolog prometheus protobuf pubsub pulumi puppet puppeteer pwa
    pycharm pydantic pyspark pytest python python3 pytorch qa qt r r2 rabbitmq rag rails ram ray rdb
    rdbms rds react redash redhat redis redshift redux regex rest rfc rnn roblox rpc rss rsync rtl
    ruby rust s3 saas safari sagemaker salesforce saml samba sap sas sass scala scikit scipy scrapy
    scss sdk sdks selenium sentry seo server sftp sharepoint shell shopify siri sklearn slack sla
    slo smtp snowflake soap socket solaris solidity solr sonarqube sop spa spacy spark splunk
    spotify
    spreadsheet spring sqlalchemy sql sqlite sqs ssd ssh ssl sso steam storybook streamlit stripe
    sublime supabase superset svelte svg svm swagger swift swiftui symfony systemd tableau tailwind
    tcp tdd teams telegram tensorflow terraform tesseract tex thrift tiktok tls tomcat toml torch
    trello trino ts tsv tsx tui twitter typescript ubuntu udp ui uml unicode unity unix unreal uri
    url urls usb utc utf utf8 uuid ux vagrant vb vba vbscript vercel vi vim visual vite vlan vlc vm
    vmware vpc vpn vs vscode vue vuejs wasm web webassembly webgl webhook webhooks webkit webpack
    webrtc websocket wayland whatsapp wifi wiki wikipedia win32 windows winforms word wordpress wpf
    wsgi wsl x11 x86 xaml xamarin xcode xml xorg xpath xslt yaml yarn youtube zapier zendesk zip
    zookeeper zoom zsh
    """.split()  # noqa: SIM905 - five hundred strings would not be readable
)


def is_technology(word: str) -> bool:
    """Whether a word, whatever its case and plural, is on the list."""
    bare = word.casefold().strip(".'\u2019-+#")
    return bare in TECHNOLOGIES or bare.removesuffix("s") in TECHNOLOGIES
