"""The Grafana dashboards: the fleet, one relay, one schedule."""

from grafana import dashboard, graph, mapping, stat, states, table, variable

PER_SECOND = "suffix: /s"
LINK = mapping(v0=("Closed", "orange"), v1=("Open", "green"))
YES = mapping(v0=("no", "red"), v1=("yes", "green"))
NO = mapping(v0=("no", "green"), v1=("yes", "red"))
# The moment is 0 where none waits.
AGE = "(time() - {0}) * ({0} > bool 0)"


def rate(metric, selector, by=""):
    """A counter's increase per second."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate({metric}{{{selector}}}[$__rate_interval]))"


def quantiles(metric, selector):
    """The median and the 99th percentile of a histogram."""
    buckets = f"sum by (le) (rate({metric}_bucket{{{selector}}}[$__rate_interval]))"
    return [(f"histogram_quantile({quantile}, {buckets})", legend) for quantile, legend in ((0.5, "median"), (0.99, "99 %"))]


def settled(selector, by="", legend=""):
    """What became of recipients."""
    outcomes = ("delivered", "deferred", "bounced")
    return [(rate(f"mailsluice_recipients_{outcome}_total", selector, by), f"{legend}{outcome}") for outcome in outcomes]


def fleet():
    s, by = 'namespace=~"$namespace"', "namespace, relay"
    oldest = AGE.format(f"mailsluice_queue_oldest_timestamp_seconds{{{s}}}")
    legend = "{{namespace}}/{{relay}}"
    operator = "mailsluice_operator"
    columns = [
        ("Waiting", "short", f"sum by ({by}) (mailsluice_queue_messages{{{s}}})", None),
        ("Oldest", "s", f"max by ({by}) ({oldest})", None),
        ("Hosts suspended", "short", f'sum by ({by}) (mailsluice_hosts{{{s},state="Suspended"}})', None),
        ("Link", "none", f"max by ({by}) (mailsluice_link_open{{{s}}})", LINK),
        ("Accepting", "none", f"min by ({by}) (mailsluice_spool_accepting{{{s}}})", YES),
        ("Problems", "short", f"sum by ({by}) (mailsluice_problem{{{s}}})", None),
        ("Pods", "short", f"count by ({by}) (mailsluice_build_info{{{s}}})", None),
    ]
    return dashboard(
        "mailsluice-fleet",
        "Mailsluice / Fleet",
        "All mail relays: what waits, what goes, what is wrong.",
        [variable("namespace", "Namespace", "label_values(mailsluice_build_info, namespace)", True)],
        [
            ("Now", [
                stat("Relays", "SMTPRelays of which a pod is scraped.", "short", f"count(count by ({by}) (mailsluice_build_info{{{s}}}))"),
                stat("Messages waiting", "Messages not yet delivered or bounced.", "short", f"sum(mailsluice_queue_messages{{{s}}})"),
                stat("Oldest message", "How long ago the oldest message that waits was accepted.", "s", f"max({oldest})"),
                stat("Hosts suspended", "Hosts that mail waits for and no connection is tried to now.", "short",
                     f'sum(mailsluice_hosts{{{s},state="Suspended"}})'),
                stat("Links closed", "Pods whose TCP Schedule allows no connection now.", "short",
                     f"count(mailsluice_link_open{{{s}}}) - sum(mailsluice_link_open{{{s}}})"),
                stat("Problems", "Problems that hinder relays as a whole; the table below says whose.", "short",
                     f"sum(mailsluice_problem{{{s}}})", bad=1),
            ]),
            ("Relays", [
                table("Relays", "Each SMTPRelay now.", columns, by, (24, 8)),
                graph("Messages waiting", "Messages not yet delivered or bounced, by relay.", "short",
                      (f"sum by ({by}) (mailsluice_queue_messages{{{s}}})", legend)),
                graph("Messages taken", "Messages answered 250, by relay.", PER_SECOND,
                      (rate("mailsluice_messages_accepted_total", s, by), legend)),
                graph("Recipients delivered", "Recipients whose host took the message, by relay.", PER_SECOND,
                      (rate("mailsluice_recipients_delivered_total", s, by), legend)),
                graph("Recipients given up", "Recipients that were refused for good, or whose time was over, by relay.", PER_SECOND,
                      (rate("mailsluice_recipients_bounced_total", s, by), legend)),
                graph("Refusals", "Senders, recipients and messages refused, by the reply's code.", PER_SECOND,
                      (rate("mailsluice_smtp_refusals_total", s, "code"), "{{code}}")),
                graph("Problems", "Problems that hinder relays as a whole, by their reason.", "short",
                      (f"sum by (reason) (mailsluice_problem{{{s}}})", "{{reason}}")),
            ]),
            ("Operator", [
                graph("Pods ready", "Pods that are ready, and pods that SMTPRelays ask for.", "short",
                      (f"sum({operator}_relay_ready_replicas{{{s}}})", "ready"), (f"sum({operator}_relay_replicas{{{s}}})", "asked for")),
                graph("Stranded messages", "Messages on claims of pods that are scaled away, which no sibling took.", "short",
                      (f"sum by ({by}, claim) ({operator}_relay_stranded_messages{{{s}}})", legend + " {{claim}}")),
                graph("Monitors", "Pods whose Monitor the operator follows.", "short", (f"sum({operator}_pods_followed)", "followed")),
                graph("Snapshots of Monitors", "Snapshots that came from pods, and attempts to read one that failed or ended.", PER_SECOND,
                      (rate(f"{operator}_snapshots_total", ""), "snapshots"), (rate(f"{operator}_monitor_failures_total", ""), "failures")),
                graph("Reconciles", "Reconciles, by kind and result.", PER_SECOND,
                      (rate(f"{operator}_reconciles_total", "", "kind, result"), "{{kind}} {{result}}")),
                # Most of the time there are none: a rate would have nothing to show.
                graph("Reconcile time", "How long reconciles took since the operators started.", "s",
                      *((f"histogram_quantile({quantile}, sum by (le) ({operator}_reconcile_seconds_bucket))", legend)
                        for quantile, legend in ((0.5, "median"), (0.99, "99 %")))),
                graph("Reconciles waiting", "Objects whose reconcile was asked for and has not begun. A number that stays says that the operator does not keep up.", "short",
                      (f"sum by (kind) ({operator}_reconciles_waiting)", "{{kind}}")),
                graph("Leaders", "Operators that lead: one, but for the moments of a hand-over.", "short", (f"sum({operator}_leader)", "leaders")),
                graph("Writes", "Writes to the API server, by what was written. When nothing changes there are none.", PER_SECOND,
                      (rate(f"{operator}_writes_total", "", "object"), "{{object}}")),
                graph("API requests", "Requests to the API server, by the code of its answer.", PER_SECOND,
                      (rate(f"{operator}_api_requests_total", "", "code"), "{{code}}")),
                graph("Versions", "Pods by the version of the relay's program.", "short",
                      (f"count by (version) (mailsluice_build_info{{{s}}})", "relay {{version}}"),
                      (f"count by (version) ({operator}_build_info)", "operator {{version}}")),
            ]),
        ],
    )


def relay():
    s = 'namespace="$namespace",relay="$relay",pod=~"$pod"'
    oldest = AGE.format(f"mailsluice_queue_oldest_timestamp_seconds{{{s}}}")
    expiry = f"mailsluice_queue_next_expiry_timestamp_seconds{{{s}}}"
    one = lambda function, metric: f"{function}({metric}{{{s}}})"
    of_pod = lambda metric: (f"sum by (pod) ({metric}{{{s}}})", "{{pod}}")
    return dashboard(
        "mailsluice-relay",
        "Mailsluice / Relay",
        "One mail relay: what comes in, waits and goes out, and its disk.",
        [
            variable("namespace", "Namespace", "label_values(mailsluice_build_info, namespace)", False),
            variable("relay", "Relay", 'label_values(mailsluice_build_info{namespace="$namespace"}, relay)', False),
            variable("pod", "Pod", 'label_values(mailsluice_build_info{namespace="$namespace",relay="$relay"}, pod)', True),
        ],
        [
            ("Now", [
                stat("Link", "Whether the TCP Schedule allows connections.", "none", one("max", "mailsluice_link_open"), mappings=LINK),
                stat("Accepting", "Whether all pods take mail.", "none", one("min", "mailsluice_spool_accepting"), mappings=YES),
                stat("Messages waiting", "Messages not yet delivered or bounced.", "short", one("sum", "mailsluice_queue_messages")),
                stat("Oldest message", "How long ago the oldest message that waits was accepted.", "s", f"max({oldest})"),
                stat("Problems", "Problems that hinder the relay as a whole.", "short", one("sum", "mailsluice_problem"), bad=1),
                stat("Configuration refused", "Whether the files hold a configuration that was refused; the one before is in force.", "none",
                     one("max", "mailsluice_config_invalid"), mappings=NO),
            ]),
            ("Queue", [
                graph("Messages waiting", "Messages not yet delivered or bounced, by pod.", "short", of_pod("mailsluice_queue_messages"),
                      stacked=True),
                graph("Messages that could go", "Messages that neither a schedule, a limit, a hold nor their host keeps, by pod.", "short",
                      of_pod("mailsluice_queue_sendable_messages"), stacked=True),
                graph("Octets waiting", "Octets of the messages that wait, by pod.", "bytes", of_pod("mailsluice_queue_bytes"), stacked=True),
                graph("Hosts", "Hosts that mail waits for, by their state.", "short",
                      (f"sum by (state) (mailsluice_hosts{{{s}}})", "{{state}}"), stacked=True),
                graph("Oldest message", "How long ago the oldest message that waits was accepted, by pod.", "s",
                      (f"max by (pod) ({oldest})", "{{pod}}")),
                graph("Time left", "How long until the first message is as old as retry.expireAfter allows; that much when none waits.", "s",
                      (f"min(({expiry} - time()) * ({expiry} > bool 0) + mailsluice_queue_expire_after_seconds{{{s}}} * ({expiry} == bool 0))",
                       "left")),
                graph("Problems", "Problems that hinder the relay as a whole, by their reason.", "short",
                      (f"sum by (reason) (mailsluice_problem{{{s}}})", "{{reason}}")),
            ]),
            ("In", [
                graph("Messages taken", "Messages answered 250, by pod.", PER_SECOND,
                      (rate("mailsluice_messages_accepted_total", s, "pod"), "{{pod}}")),
                graph("Octets taken", "Octets of the messages answered 250, by pod.", "Bps",
                      (rate("mailsluice_messages_accepted_bytes_total", s, "pod"), "{{pod}}")),
                graph("Refusals", "Senders, recipients and messages refused, by the reply's code.", PER_SECOND,
                      (rate("mailsluice_smtp_refusals_total", s, "code"), "{{code}}")),
                graph("Sessions of clients", "Sessions of clients that are open, by pod.", "short", of_pod("mailsluice_smtp_server_sessions")),
                graph("How long sessions of clients take", "The median and the 99th percentile.", "s",
                      *quantiles("mailsluice_smtp_server_session_seconds", s)),
                graph("Limits reached", "Refused since a limit of one client (client) or of all of them (all) was reached.", PER_SECOND,
                      (rate("mailsluice_client_limits_reached_total", s, "scope, limit"), "{{scope}} {{limit}}")),
                graph("TLS handshakes of clients", "Handshakes of clients, by their result.", PER_SECOND,
                      (rate("mailsluice_smtp_server_tls_handshakes_total", s, "result"), "{{result}}")),
                graph("Authentications", "AUTH of clients, by its result.", PER_SECOND,
                      (rate("mailsluice_smtp_server_authentications_total", s, "result"), "{{result}}")),
                graph("PROXY headers", "PROXY headers of load balancers, by what they said.", PER_SECOND,
                      (rate("mailsluice_proxy_headers_total", s, "result"), "{{result}}")),
            ]),
            ("Out", [
                graph("Recipients", "Recipients delivered, put off to another attempt, and given up.", PER_SECOND, *settled(s)),
                graph("Sessions with hosts", "Outgoing sessions that are open, by pod.", "short", of_pod("mailsluice_smtp_client_sessions")),
                graph("How long sessions with hosts take", "The median and the 99th percentile.", "s",
                      *quantiles("mailsluice_smtp_client_session_seconds", s)),
                graph("TLS handshakes with hosts", "By the tls of the route, and their result.", PER_SECOND,
                      (rate("mailsluice_smtp_client_tls_handshakes_total", s, "policy, result"), "{{policy}} {{result}}")),
                graph("Logins at smarthosts", "AUTH at smarthosts, by its result.", PER_SECOND,
                      (rate("mailsluice_smtp_client_authentications_total", s, "result"), "{{result}}")),
                graph("Sessions under DANE and MTA-STS", "By where the policy comes from, and how they went, in RFC 8460's words.", PER_SECOND,
                      (rate("mailsluice_tls_report_sessions_total", s, "policy, result"), "{{policy}} {{result}}")),
                graph("Signed and told", "Messages signed by DKIM, and senders told that a message is late.", PER_SECOND,
                      (rate("mailsluice_dkim_signed_total", s), "signed"), (rate("mailsluice_delays_told_total", s), "told")),
            ]),
            ("Spool", [
                graph("How long syncs take", "Each message waits for one: the median and the 99th percentile.", "s",
                      *quantiles("mailsluice_spool_sync_seconds", s)),
                graph("Room", "Octets of disk that the spool holds, and those that waiting mail needs.", "bytes",
                      (one("sum", "mailsluice_spool_held_bytes"), "held"), (one("sum", "mailsluice_spool_live_bytes"), "needed")),
                graph("Room on disk", "Octets that are free on the spool's file system, by pod.", "bytes", of_pod("mailsluice_spool_available_bytes")),
                graph("Damage", "Records that are damaged and were set aside; anything but 0 may be lost mail.", "short",
                      of_pod("mailsluice_spool_damaged_records")),
                graph("Read again", "How often the spool failed and was read again, within an hour.", "short",
                      (f"sum by (pod) (increase(mailsluice_spool_rereads_total{{{s}}}[1h]))", "{{pod}}")),
                states("Recovering", "Whether what a start found in the spool is still being read.", NO,
                       (f"max by (pod) (mailsluice_spool_recovering{{{s}}})", "{{pod}}")),
                states("Taking mail", "Whether the spool takes mail.", YES,
                       (f"min by (pod) (mailsluice_spool_accepting{{{s}}})", "{{pod}}")),
            ]),
            ("Configuration", [
                graph("Changes", "Changes of the configuration, by whether they could be obeyed.", "short",
                      (f"sum by (result) (increase(mailsluice_config_reloads_total{{{s}}}[$__rate_interval]))", "{{result}}")),
                graph("Secrets that cannot be used", "Secrets that are missing or hold nothing that can be used, by pod.", "short",
                      of_pod("mailsluice_secrets_invalid")),
                graph("Certificates", "How long the certificates that listeners show are still valid, by their Secret.", "s",
                      (f"min by (secret) (mailsluice_tls_certificate_expiry_timestamp_seconds{{{s}}}) - time()", "{{secret}}")),
                graph("Log Level", "Pods by the Log Level that is set.", "short",
                      (f"sum by (level) (mailsluice_log_level{{{s}}}) > 0", "{{level}}")),
            ]),
        ],
    )


def schedule():
    info = 'mailsluice_link_schedule_info{namespace="$namespace",schedule="$schedule"}'
    obeying = lambda metric: f"{metric}{{namespace=\"$namespace\"}} * on (namespace, pod) group_left (schedule) {info}"
    flowing = lambda metric: f"sum by (relay) (rate({metric}{{namespace=\"$namespace\"}}[$__rate_interval]) * on (namespace, pod) group_left (schedule) {info})"
    oldest = AGE.format('mailsluice_queue_oldest_timestamp_seconds{namespace="$namespace"}')
    return dashboard(
        "mailsluice-schedule",
        "Mailsluice / Schedule",
        "One TCP Schedule: when it opens, and the mail behind it.",
        [
            variable("namespace", "Namespace", 'label_values(mailsluice_link_schedule_info{schedule!=""}, namespace)', False),
            variable("schedule", "Schedule", 'label_values(mailsluice_link_schedule_info{namespace="$namespace",schedule!=""}, schedule)', False),
        ],
        [
            ("Now", [
                stat("Link", "Whether the schedule allows connections.", "none", f"max({obeying('mailsluice_link_open')})", mappings=LINK,
                     size=(6, 4)),
                stat("Changes in", "How long until it opens or closes; -1 when it never does.", "s",
                     f"max({obeying('mailsluice_link_change_seconds')})", size=(6, 4)),
                stat("Relays", "SMTPRelays that obey it.", "short", f"count(count by (relay) ({info}))", size=(6, 4)),
                stat("Messages waiting", "Messages that wait in these relays.", "short", f"sum({obeying('mailsluice_queue_messages')})",
                     size=(6, 4)),
            ]),
            ("Over time", [
                states("Link", "When the schedule allowed connections, as each pod saw it.", LINK,
                       (f"max by (pod) ({obeying('mailsluice_link_open')})", "{{pod}}"), size=(24, 6)),
                graph("Messages waiting", "Messages that wait, by relay.", "short",
                      (f"sum by (relay) ({obeying('mailsluice_queue_messages')})", "{{relay}}"), size=(12, 8), stacked=True),
                graph("Recipients delivered", "Recipients whose host took the message, by relay.", PER_SECOND,
                      (flowing("mailsluice_recipients_delivered_total"), "{{relay}}"), size=(12, 8)),
                graph("Messages taken", "Messages answered 250, by relay.", PER_SECOND,
                      (flowing("mailsluice_messages_accepted_total"), "{{relay}}"), size=(12, 8)),
                graph("Oldest message", "How long ago the oldest message that waits was accepted, by relay.", "s",
                      (f"max by (relay) (({oldest}) * on (namespace, pod) group_left (schedule) {info})", "{{relay}}"), size=(12, 8)),
            ]),
        ],
    )


ALL = {"fleet": fleet, "relay": relay, "schedule": schedule}
