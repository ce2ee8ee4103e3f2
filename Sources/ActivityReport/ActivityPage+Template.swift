// SPDX-License-Identifier: GPL-3.0-or-later

extension ActivityPage {
    /// In the words of Mustache, which escapes what it fills in. The names are those of `ActivityReport.json`.
    static let template = #"""
        <h1>Portreeve on {{host}}</h1>
        <p>From {{start}} to {{end}}; made {{made}}.</p>
        {{#has_troubles}}<section class="troubles"><h2>Not known</h2><ul>{{#troubles}}<li>{{.}}</li>{{/troubles}}</ul></section>{{/has_troubles}}
        {{#is_read}}<dl class="sums">
        <div><dt>Packets dropped</dt><dd id="dropped">{{dropped_text}}</dd></div>
        <div><dt>Would have been dropped</dt><dd>{{spared_text}}</dd></div>
        <div><dt>Connections that ended</dt><dd>{{ended_text}}</dd></div>
        <div><dt>Records read</dt><dd>{{records_text}}</dd></div>
        <div><dt>Events given up</dt><dd>{{lost_text}}</dd></div>
        </dl>{{/is_read}}
        <h2>Drops over time, by reason</h2>
        {{^has_drops}}<p class="none">{{#is_read}}No record of a dropped packet; a rule with "log: false" leaves none.{{/is_read}}{{^is_read}}Not known.{{/is_read}}</p>{{/has_drops}}
        {{#has_drops}}
        <div class="chart"><canvas id="chart" role="img" aria-label="Packets dropped over time, by reason: the table below has the sums."></canvas></div>
        <table id="reasons"><thead><tr><th>Reason</th><th class="number">No.</th><th class="number">Packets</th><th class="number">Share</th><th class="number">Records</th></tr></thead>
        <tbody>{{#reasons}}<tr><td>{{name}} <code>{{slug}}</code></td><td class="number">{{number}}</td><td class="number">{{packets_text}}</td><td class="number">{{percent}} %</td><td class="number">{{records_text}}</td></tr>{{/reasons}}</tbody></table>
        <h2>Sources of what was dropped</h2>
        <table id="sources"><thead><tr><th>Source</th><th class="number">Packets</th><th>Mostly for</th><th class="number">Ports</th><th>First</th><th>Last</th></tr></thead>
        <tbody>{{#sources}}<tr><td><code>{{address}}</code></td><td class="number">{{packets_text}}</td><td>{{reason}}</td><td class="number">{{ports_text}}</td><td>{{first}}</td><td>{{last}}</td></tr>{{/sources}}</tbody></table>
        {{#has_more_sources}}<p>{{#has_other_sources}}At least {{/has_other_sources}}{{more_sources_text}} more sources.</p>{{/has_more_sources}}
        {{#has_other_sources}}<p>There were too many sources to tell apart: {{other_sources_text}} packets are of others, and each number is the least that it can be.</p>{{/has_other_sources}}
        <h2>Rules that refused</h2>
        {{^has_refusing_rules}}<p class="none">None: what was dropped was dropped by checks of state, or since no rule admitted it.</p>{{/has_refusing_rules}}
        {{#has_refusing_rules}}<table id="refusing"><thead><tr><th>Rule</th><th class="number">Packets</th><th>Last</th></tr></thead>
        <tbody>{{#refusing_rules}}<tr><td>{{name}}</td><td class="number">{{packets_text}}</td><td>{{last}}</td></tr>{{/refusing_rules}}</tbody></table>{{/has_refusing_rules}}
        {{/has_drops}}
        <h2>Rules by what they have decided</h2>
        {{^agent_runs}}<p class="none">No agent runs: it alone counts for rules.</p>{{/agent_runs}}
        {{#agent_runs}}<table id="rules"><thead><tr><th>Rule</th><th>Action</th><th class="number">Packets</th><th class="number">Bytes</th><th>Last</th><th>Counted since</th><th>Place</th></tr></thead>
        <tbody>{{#rules}}<tr{{#unused}} class="unused"{{/unused}}><td>{{name}}{{#off}} <em>off</em>{{/off}}{{#unused}} <em>unused</em>{{/unused}}</td><td>{{action}}</td><td class="number">{{packets_text}}</td><td class="number">{{bytes_text}}</td><td>{{last}}</td><td>{{since}}</td><td><code>{{place}}</code></td></tr>{{/rules}}</tbody></table>{{/agent_runs}}
        <h2>How connections ended</h2>
        {{^has_endings}}<p class="none">No record of a connection that ended: "events: { closed-connections: [tcp] }" logs them.</p>{{/has_endings}}
        {{#has_endings}}<table id="endings"><thead><tr><th>How</th><th class="number">Connections</th><th class="number">Bytes to servers</th><th class="number">Bytes to clients</th></tr></thead>
        <tbody>{{#endings}}<tr><td>{{how}}</td><td class="number">{{connections_text}}</td><td class="number">{{to_server_text}}</td><td class="number">{{to_client_text}}</td></tr>{{/endings}}</tbody></table>{{/has_endings}}
        <h2>What the policy's check says</h2>
        {{^has_findings}}<p class="none">Nothing.</p>{{/has_findings}}
        {{#has_findings}}<table id="findings"><thead><tr><th>Level</th><th>Place</th><th>Finding</th></tr></thead>
        <tbody>{{#findings}}<tr class="{{level}}"><td>{{level}}</td><td><code>{{place}}</code></td><td>{{text}}</td></tr>{{/findings}}</tbody></table>{{/has_findings}}
        """#

    static let style = """
        :root { color-scheme: light dark; --ink: #1c2330; --paper: #ffffff; --faint: #667085; --line: #d5dae3; --tile: #f4f6fa; \
        --warn: #fff4d6; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e4e8f0; --paper: #11151c; --faint: #98a2b3; --line: #333c4b; \
        --tile: #1b222d; --warn: #3a3014; } }
        body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0; }
        main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.25rem 3rem; }
        h1 { font-size: 1.6rem; margin: .5rem 0 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
        p { margin: .3rem 0; } .none { color: var(--faint); }
        .sums { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0 0; }
        .sums div { background: var(--tile); border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .9rem; min-width: 9rem; }
        .sums dt { color: var(--faint); font-size: .85rem; } .sums dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
        .chart { position: relative; height: 20rem; }
        table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .25rem .6rem; vertical-align: top; \
        border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
        th { color: var(--faint); font-weight: 600; font-size: .85rem; } .number { text-align: right; \
        font-variant-numeric: tabular-nums; white-space: nowrap; }
        em { color: var(--faint); } .unused td, .warning td, .error td { background: var(--warn); }
        .troubles { background: var(--warn); border: 1px solid var(--line); border-radius: .4rem; padding: .1rem 1rem .5rem; margin-top: 1rem; }
        code { font-size: .9em; }
        """

    /// Fills the template in, and draws the chart.
    static let script = #"""
        "use strict";
        const report = JSON.parse(document.getElementById("report").textContent);
        const grouped = number => number.toString().replace(/\B(?=(\d{3})+$)/g, " ");
        // Each number also as a person reads it, and of each list whether there is anything in it.
        const prepared = value => {
          if (Array.isArray(value)) return value.map(prepared);
          if (value === null || typeof value !== "object") return value;
          const all = {};
          for (const [key, each] of Object.entries(value)) {
            all[key] = prepared(each);
            if (typeof each === "number") { all[key + "_text"] = grouped(each); all["has_" + key] = each > 0; }
            if (Array.isArray(each)) all["has_" + key] = each.length > 0;
          }
          return all;
        };
        const view = prepared(report);
        view.has_drops = report.series.length > 0;
        view.ended_text = grouped(report.endings.reduce((sum, each) => sum + each.connections, 0));
        view.sources.forEach(each => { each.ports_text = (each.many_ports ? "≥ " : "") + each.ports; });
        document.getElementById("page").innerHTML = Mustache.render(document.getElementById("template").textContent, view);

        const colours = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#999933", "#9aa3b2"];
        const draw = () => {
          const canvas = document.getElementById("chart");
          if (!canvas) return;
          const style = getComputedStyle(document.documentElement);
          Chart.getChart(canvas)?.destroy();
          Chart.defaults.color = style.getPropertyValue("--ink").trim();
          Chart.defaults.borderColor = style.getPropertyValue("--line").trim();
          new Chart(canvas, {
            type: "bar",
            data: {
              labels: report.steps.map(time => report.step_seconds < 86400 ? time.slice(5, 16) : time.slice(0, 10)),
              datasets: report.series.map((each, place) => ({
                label: each.name, data: each.packets, backgroundColor: colours[place % colours.length], categoryPercentage: 1, barPercentage: .9,
              })),
            },
            options: {
              animation: false, maintainAspectRatio: false,
              scales: { x: { stacked: true, ticks: { maxRotation: 0, autoSkipPadding: 12 } }, y: { stacked: true, beginAtZero: true, ticks: { precision: 0 } } },
              plugins: { legend: { position: "bottom", labels: { boxWidth: 12 } }, tooltip: { mode: "index" } },
            },
          });
        };
        draw();
        window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
        """#
}
