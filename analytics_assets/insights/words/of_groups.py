"""Words that name nobody: what a text about a group may consist of without anyone looking at it.

Belongs here: constants. Does not: judging (groups/gate.py). Invariant: no word here is a name of a
person, a place or a company, nor a role that one person may have alone in a group; names of widely
known technologies stand apart, in the spelling they are written in.
"""

from __future__ import annotations

from typing import Final

FUNCTION_WORDS: Final = frozenset(
    """
    a about across after again all also an and any are as at back be because been before being
    between both but by can cannot could did do does done each either else enough even every few
    for from further had has have having how if in inside instead into is it its itself just least
    less like made many may might more most much must no nor not nothing of off often on once one
    only onto or other others our out over own per quite rather same several should since so some
    still such than that the their them themselves then there these they this those though through
    to together too toward twice two three under until up upon us use used uses using very was way
    we were what when where whether which while who whole whose why will with within without would
    yet you your u
    """.split()  # noqa: SIM905 - hundreds of quoted words would not be readable
)
PLAIN_WORDS: Final = (
    FUNCTION_WORDS
    | frozenset(
        """
    ability able above accept access accessible account accuracy accurate achieve across act action
    active activity actual adapt add additional address adjust advance advice afford agree ahead
    aim alert align allow alone along already alternative always amount analyse analysis analytics
    analyze annoy anomaly another answer anyone anything apart api app appear appearance application
    apply approach approve archive area argument arrange array article ask assist assistant assume
    attach attempt attention audio audit author automate automatic automation available average
    avoid aware away background backfill backup bad balance bank bar base basic batch become begin
    behave behaviour behavior behind believe came come below benefit best better beyond big bill
    billing
    binary bit blank block blog board body bold book borrow bot bottom box branch break brief bring
    broad broken browse browser budget bug build builder bulk business busy button buy cache
    calculate calculation calendar call cancel capacity capture card care carry case cash catch
    category cause
    cell center central certain chain challenge change channel chapter character charge chart chat
    cheap check checkout child choice choose circle claim class classify clean clear click client
    clients climate clock clone close closed cloud cluster code coding cohort collaborate
    collaboration colleague collect colour color column combine come command comment commit common
    communicate community company compare comparison compatible compile complain complete complex
    component compress compute computer concept concern condition conference configuration configure
    confirm conflict confuse connect connection connector consider consistent console constant
    constraint construct contact contain container content context continue contract contribute
    control conversation conversion convert cook cooking cookie copy core correct correctly cost
    count country couple course cover crash create creation creative credential credit crop cross
    current custom customer customers customise customize cut cycle daily dark dashboard data
    database dataset date day deal debug decide decision declare decrease deep default define
    definition degree delay delete deliver demand demo deny depend dependency deploy deployment
    describe description design desk desktop detail detect determine develop developer developers
    development device diagnose diagram difference different difficult digital direct direction
    directory disable disappear discover discuss disk display distribute distribution divide docs
    document documentation domain double down download draft drag draw drive driver drop duplicate
    duration during dynamic early earn ease easily easy edge edit editor education effect effective
    efficient effort element email emails embed embedding empty enable encode encrypt encryption end
    energy engine engineer engineers enjoy ensure enter entire entry environment equal equation
    error errors essay essential establish estimate evaluate evening event everybody everyone
    everything exact exactly example excel except exception exchange execute exercise exist exit
    expand expect expense expensive experience expert expire explain explanation explore export
    expose express extend extension external extra extract extreme face fact factor fail failing
    failure fair fall false family familiar fashion fast faster feature features feed feedback feel
    fetch field figure file files fill filter final finance financial find fine finish fit fix fixed
    flag flaky flat flexible flow focus folder follow font food force forecast forget forgotten form
    formal format former formula forward framework free freeze frequent fresh friction friend
    frontend frustrate full function functional future gain game garden gather general generate
    generation generic get getting give glance global go goal going good grade grammar grant graph
    great grid group grow growth guess guide habit half hand handle happen happy hard hardware
    health healthy hear heavy help helpful hidden hide high hint history hit hold home homework hook
    hope host hosting hour hourly household huge human icon idea ideal identify idle ignore image
    imagine immediate impact implement implementation import importance important improve
    improvement inability include incomplete incorrect increase independent index individual inform
    information ingest initial inline input insert inspect install installation installing instant
    instruction instructions integrate integration intelligence intend interact interaction interest
    interface internal internet interpret interrupt introduce invalid invest investigate invite
    invoice invoices involve isolate issue issues item iterate job join journey json judge jump keep
    kernel key keyboard kind know knowledge label lack language languages large larger last late
    later latency launch layer layout lead leak learn learning leave left legal length lesson let
    letter level library licence license life light likely limit limited limits line link linux list
    listen literature little live load local locate lock log logic login logo long longer look loop
    lose losing lost lot loud love low lower machine mail main maintain maintenance major make maker
    making manage management manager manual map margin mark market marketing mask master match
    material math mathematics maths matter maximum mean meaning measure media medical meet meeting
    member members memory mention menu merge message messages metadata method metric metrics middle
    migrate migration milestone milestones mind minimal minimum minor minute miss missing mistake
    mix mobile mock mode model models modern modify module moment money monitor monitoring month
    monthly morning motion move multiple music mutual name national natural navigate navigation near
    necessary need needs negative nested network networking neural never new newest news next nice
    night nightly node noise none normal note notebook notes notice notification notifications novel
    number numbers numeric object objective observe obtain obvious offer office offline ok old
    older ongoing online open operate operating operation opinion opportunity optimise optimization
    optimize option optional options order organise organize origin original outage outcome outline
    output outside overall overview pace pack package packages page pages pain paper paragraph
    parallel parameter parse part partial partition partly partner party pass passage password past
    paste patch path pattern pause pay payment payments people perfect perform performance period
    permission permissions persist person personal phase phone photo phrase physics pick picture
    piece pipeline pipelines place plain plan planning plans plant platform play player please
    plot plugin poem poetry point policy poor popular portal position positive possible post power
    practical practice precise predict prefer prepare present presentation preserve press prevent
    preview previous price prices pricing primary print prior priority privacy private problem
    problems procedure proceed process produce product production professional profile profit
    program programming progress project projects promise prompt prompts proof proper property
    proposal propose protect protocol prototype prove provide public publish pull purchase purpose
    push put quality quantity query question questions queue quick quickly quota quote random range
    rank rate raw reach react read reader reading ready real realise realize reason reasonable
    receive recent recipe recipes recognise recommend recommendation record recover recovery recur
    recurring redirect redo reduce refactor refer reference refine refresh refund refuse regard
    region register regression regular reject relate relation release relevant reliable rely remain
    remember remind reminder remote remove rename render renew rent repair repeat repeated repeating
    replace reply report reporting reports repository represent request requests require requirement
    research reset resize resolve resource respond response responsive rest restart restore restrict
    result results resume retention retrieve retry return reuse review rewrite rich right rights
    risk role root rotate round route routine row rows rule run running safe safety sale sales
    sample save scale scan scenario schedule scheduled scheduling schema school science scope score
    screen script scroll search searching season second section secure security see seek seem
    segment select self sell send sense sensitive sensor sentence separate sequence series serious
    serve server servers service session set setting settings setup shape share shared sharing sheet
    shell shift ship shop short shortcut show sign sign-in signature signin simple simplify simulate
    single site situation size skill skip sleep slide slides slow small smart smooth social
    software solid solution solve somebody someone something sometimes song soon sort sound source
    space span speak special specific speech speed spell spend split sport spread spreadsheet
    spreadsheets stable stack staff stage stand standard start state statement static statistics
    status stay step steps stick stop storage store story strategy stream street stress strict
    string
    strong structure struggle stuck study stuff style subject submit subscribe subscription success
    successful suddenly suggest suggestion suit suite sum summarise summarize summary supply support
    sure surface survey suspend switch symbol sync syntax system table tables tabs tag tailor take
    talk target task tasks tax teach team teams tech technical technique technology template tend
    term terminal test tested testing tests text theme theory thing things think thread threshold
    ticket tidy time timeline timeout timer times timing tip title today token tokens tone tool
    tooling tools top topic topics total touch track tracking trade train training transaction
    transfer transform transformation transition translate translation transparent transport travel
    treat tree trend trial trigger trip trouble troubleshoot troubleshooting true trust try turn
    tutorial tutorials type typical unable unclear understand understanding undo unexpected
    uniform unique unit unknown unlock unnecessary unreliable unsure unusable update upgrade upload
    uploads upper usability usage useful user users usual utility valid validate validation value
    variable variant variety vary version versions video view viewer virtual visible visit visual
    visualisation visualization voice volume vulnerability wait waiting walk want warehouse warn
    warning waste watch weather web webhook webhooks website websites week weekday weekend weekly
    weight welcome well wide wider window wish wishes word wording words work worker workflow
    workflows working workplace workspace workspaces world worry worse write writer writing wrong
    year yearly younger zone
    """.split()  # noqa: SIM905 - hundreds of quoted words would not be readable
    )
    | frozenset(
        """
    abstract academic accident accurately acquire admit advantage advertise agenda agent
    aggregate algorithm allocate alternate animal anonymous apartment appeal appoint
    appropriate approximate architecture arise arrival arrive art aspect assemble assess
    assign associate astronomy asynchronous attract attribute authentication authorise
    authorize auto automatically backend baking barcode basis battery beginner bicycle bike
    bind biology blend bodyweight booking bookmark boot border bottleneck boundary breakfast
    brightness bullet bundle button caching callback camera campaign cancellation capability
    caption cart casual celebrate censor certificate chat chatbot checklist chemistry
    childcare chunk cite civil classroom cleanup clipboard clone closing coffee cognitive coin
    collection column comfortable commerce competitor complaint composition comprehensive
    computing conclude concrete concurrency conditional confidence confirm confirmation
    conform congratulate connectivity consent consequence conserve considerable consolidate
    consult consume consumption contrast convenient conversational cooperative coordinate
    copyright corporate corrupt counter coverage crawl criteria critical crowd crypto culture
    currency curriculum cursor curve customs cyber damage dashboard deadline debate decimal
    decline decorate decrypt dedicate deduplicate defect defend delegate delicious dense
    dental departure deprecate derive desert deserve destination detailed dialog dictionary
    diet diff differ digest dimension dinner disagree disaster disconnect discount discrete
    disease dismiss display dispute distance distinct distort district dog donate dose draught
    drift drink drug dump durable duty eager earth economy ecosystem edition educate elastic
    electric electronic elegant elementary eligible elsewhere emerge emergency emotion
    emphasis employ employment encounter encourage endless endpoint engage engaging enhance
    enormous enrich enrol enterprise entertain enthusiasm entity entrance enumerate equip
    equipment equivalent erase escape estate ethics evidence evolve examine exceed exclude
    exclusive excuse exhaust exotic expansion expertise explicit exploit export expression
    extensive fabric facilitate failover faith faithful fallback fan farm fatal fault favorite
    favourite federal fee fiction filename filesystem firewall firmware fish fishing fitness
    flash flight flood floor fluent fold font footer forbid foreign forest fork formatted
    fraction fragment frame fraud frequency fruit fulfil fun functionality fund furniture
    fuzzy gallery gaming gap gateway gender geography geometry gift glitch glossary gradual
    graphic graphics green grocery guarantee guideline hack hang harm harvest hashing hate
    header headline heat height heritage hesitate hierarchy highlight hint hire historical
    history hobby holiday homepage honest hotel housing humour hybrid hygiene hyperlink
    identity illegal illness illustrate imitation immune imply impossible impress inaccurate
    inactive inbox incident incompatible inconsistent incorrectly indicate indicator industry
    inefficient inflation influence infrastructure inherit initialise initialize injection
    innovate inspire instance institution insurance integer intense interactive intermediate
    interview interviews invent inventory investment invisible irregular isolation journal
    junior justify keyword kitchen knit label landing landscape lawful leadership lecture
    legacy lightweight likewise linear liquid literature loan localisation localise loss lunch
    luxury machine magazine magnitude makeup mammal mapping marathon marketplace mass maths
    matrix mature meal meaningful measurement mechanic medication medicine meditation mental
    merchant merit microphone microservice migrate military mineral miscellaneous mission
    mixture modular monetise motivate motivation mount mountain mouse movie museum mystery
    narrow nation nature neat neglect neighbour neutral newsletter newsletters nicely nickname
    noisy norm notable notation novel nuclear numerical nutrition obey objective obstacle
    obtain occasion occasional occur odd offset omit onboarding opaque opponent optimal oral
    orchestrate ordinary organic orientation original orphan outage outdated outdoor outlier
    overlap override overwhelm overwrite pagination paint pair pandemic panel panic parental
    parser participate particle partly passive patience peace penalty pending percentage
    permanent permit pest pet philosophy physical piano pitch pivot pixel placeholder planet
    plausible playlist pleasant pointer poll pollution pool population portable portfolio
    portion pose postpone potential poverty practically practise precision predictable
    preference preferences prefix preliminary prescription presence prestige pretend prevalent
    principle printer prioritise prioritize privilege prize probability procedure profiler
    profound prominent promote promotion pronounce pronunciation propagate proportion prospect
    protein protest provider provision proxy psychology publication punctuation purge puzzle
    qualify quiet quit quiz quotation radical radio rail rapid rare ratio rational react
    readability readable reasoning rebuild recall receipt recipient recognition reconcile
    reconnect reconstruct recruit rectangle recycle reflect reform refuse regex registry
    regulation rehearse reinstall reject relax relevance reload reluctant rely remark remedy
    render rental reorder repetitive replacement replica replicate reproduce reputation rescue
    reserve residence resist resolution respect responsibility restaurant retail retire
    retrieval reveal revenue reverse revise revision reward rhythm ride rigid ritual robot
    robust rollback rough router sacrifice salad salary sandbox sanitise satellite
    satisfaction satisfy saving scalable scenario scene scholarship scientific scraping
    scratch seal seat secret seed selective seminar sender senior sentiment serialise session
    severe sewing shade shadow shallow shelf shift shipping shoe shopping shrink shuffle
    shutdown sidebar sign-up sign-ups signal significant silence silent similar similarity
    simulation singular skeleton sketch sketching skin snapshot snippet soap solar sole solver
    song sophisticated sorted soup sovereign spam spare spatial specification specify
    spectacular spectrum sponsor spot spray spread squad stability stage stakeholder
    stakeholders stall starter startup startups statistical steady steal stem stereotype stock
    stomach straight strain strength stretch strike striking structural stubborn students
    subset substance substitute subtitle subtle subtract suburb suffer sufficient sugar summer
    supplement suppress surprise surround suspect sustain sustainable swim switch syllabus
    sympathy symptom synchronise synonym synthetic systematic tactic tactics tail talent tape
    taste tea teachers temperature temporary tension terrible textbook theme theoretical
    therapy thermal thorough thread throughput throw thumb tight tile tint tolerate tour
    tourism tourist toy trace traceback traces trading tradition traffic trail transaction
    transcribe transcript transit transmission trap travelling treasure treatment tricky trim
    triumph tune tunnel typo ugly ultimate unauthorised unaware uncertain undefined underline
    uneven unified unite universal universe university unlimited unlink unstable unwanted
    upcoming upset urban urgent usable utilise vacation vague valuable vector vegan vegetable
    vegetarian vehicle vendor verb verbose verification verify vertical viable vibrant violate
    virus vision vitamin vocabulary vote voucher vulnerable wage wallet warm warranty wash
    watermark waterproof weak wealth wear wedding weird whitespace wholesale widget wifi wild
    wildlife win wind wine wipe wireless wise withdraw wonder workaround workload workout
    workshop worldwide worth wrap yield yoga zero zip zoom
    """.split()  # noqa: SIM905 - as above
    )
)
# Written as here and in no other way; a label may name them.
TECHNOLOGIES: Final = frozenset(
    """
    AI API APIs Android Angular Apache AWS Azure Bash BigQuery CI CLI CPU CSS CSV Chrome Cron CUDA
    Django Docker Dropbox Elasticsearch Excel FAQ Figma Firefox Flask Flutter GIF Git GitHub GitLab
    GPU GraphQL Grafana HTML HTTP HTTPS IDE IP JPEG JSON Java JavaScript Jira Jupyter KPI Kafka
    Keras Kotlin Kubernetes LaTeX Laravel Linux LLM MacOS Markdown Matplotlib MongoDB MySQL
    NoSQL Node Notion NumPy Nvidia OAuth OCR OS PDF PHP PNG Pandas Parquet Perl PostgreSQL Postgres
    PowerPoint Prometheus PyTorch Pytest Python RAM REST ROI Rails React Redis Redshift Ruby Rust
    SDK SEO SMS SQL SQLite SSH SSL SSO SVG Salesforce Scala Sentry Shell Slack Snowflake Spark
    Stripe Svelte Swift TLS Tableau TensorFlow Terraform TypeScript UI URL USB UX Ubuntu Unix VPN
    Vue WiFi Windows Word WordPress XML YAML iOS npm
    """.split()  # noqa: SIM905 - hundreds of quoted words would not be readable
)
