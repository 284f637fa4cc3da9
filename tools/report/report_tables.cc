// SPDX-License-Identifier: MIT
//
// The tables of a report, beneath its charts: readings and mappings, processes, forks, address
// spaces, stacks.
#include <fmt/format.h>

#include <algorithm>

#include "tools/log/names.h"
#include "tools/report/report_ids.h"
#include "tools/report/report_page.h"
#include "tools/text/html.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kForkRows = 250, kSpaceRows = 60, kStackRows = 40, kReadingRows = 30;

class Tables {
 public:
  Tables(const LogReader& log, ReportData& data) : log_(log), data_(data) {}

  std::map<std::string, std::string, std::less<>> all() {
    return {{"timeline", timeline()},
            {"processes", processes()},
            {"forks", forks()},
            {"spaces", spaces()},
            {"stacks", stacks()}};
  }

 private:
  // ---- timeline ----

  std::string timeline() const {
    std::string out;
    const uint64_t count = data_.readings->count();
    if (count == 0) out += html_note("No reading of Committed_AS was recorded.");
    else if (data_.readings->in_spans())
      out += html_note(
          fmt::format("{} readings of Committed_AS were recorded; drawn are the lowest and "
                      "highest of each 1/1500 of the period.",
                      grouped(count)));
    std::string left;
    const auto leave = [&](uint64_t n, std::string_view what) {
      if (n != 0) left += fmt::format("{}{} {}", left.empty() ? "" : ", ", grouped(n), what);
    };
    leave(data_.refusals_left_out, "repeated refusals");
    leave(data_.forks_left_out, "forks with smaller charges");
    leave(data_.mappings_left_out, "smaller mappings (of 1 MiB and more)");
    if (!left.empty()) out += html_note("Counted but not drawn: " + left + ".");
    return out + readings_table();
  }

  std::string readings_table() const {
    HtmlTable table("Readings of Committed_AS", {"from", "to", "lowest", "highest", "readings"},
                    "llrrr");
    for (const ReadingSpan& span : data_.readings->coarse(kReadingRows))
      table.row({html_time(data_.clock->posix_ns_of(span.from_us)),
                 html_time(data_.clock->posix_ns_of(span.to_us)), html_kb(span.low_kb),
                 html_kb(span.high_kb), grouped(span.count)});
    if (table.rows() == 0) return "";
    std::string out = "<details><summary>Readings as a table</summary>\n" + table.text();
    HtmlTable limits("Readings of CommitLimit", {"from", "to", "limit"}, "llr");
    for (const auto& level : data_.readings->limits())
      limits.row({html_time(data_.clock->posix_ns_of(level.from_us)),
                  html_time(data_.clock->posix_ns_of(level.to_us)), html_kb(level.value)});
    if (limits.rows() != 0) out += limits.text();
    return out + mappings_table() + "</details>\n";
  }

  std::string mappings_table() const {
    if (data_.mappings.empty()) return "";
    std::vector<const MappingMark*> largest;
    for (const MappingMark& mark : data_.mappings) largest.push_back(&mark);
    std::stable_sort(largest.begin(), largest.end(),
                     [](const auto* a, const auto* b) { return a->kb > b->kb; });
    largest.resize(std::min<size_t>(largest.size(), kReadingRows));
    HtmlTable table("Largest mappings asked for",
                    {"time", "call", "size", "charge", "process", "by"}, "llrrlw");
    for (const MappingMark* m : largest)
      table.row({html_time(log_.posix_ns(m->tick)), std::string(m->op), html_kb(m->kb),
                 m->charge_kb ? html_kb(*m->charge_kb) : "not proven",
                 fmt::format("{} ({})", html_text(m->comm), m->pid), html_text(m->caller)});
    return table.text();
  }

  // ---- processes ----

  std::string processes() const {
    HtmlTable table("Processes, each below its parent",
                    {"process", "pid", "started", "lived", "end", "started by", "forks", "program"},
                    "hrlrlwrw");
    for (const Life& life : data_.lives.rows) {
      const std::string name = fmt::format(
          "<span class=\"depth d{}\">{}</span>{}", std::min(life.depth, 8u), html_raw(life.name),
          life.others ? fmt::format(" and {} more like it", grouped(life.others)) : "");
      const int64_t lived =
          life.end_tick && !life.others
              ? log_.ticks_to_ns(static_cast<int64_t>(life.end_tick - life.from_tick))
              : -1;
      std::string forks = life.forks ? grouped(life.forks) : "";
      if (life.refused_forks)
        forks +=
            fmt::format("{}{} refused", forks.empty() ? "" : ", ", grouped(life.refused_forks));
      table.row({name, fmt::format("{}", life.pid), html_time(log_.posix_ns(life.from_tick)),
                 lived < 0 ? "" : html_duration(lived), html_raw(life.fate), html_raw(life.made_by),
                 forks, html_raw(life.detail)},
                {}, life.kind);
    }
    std::string out;
    if (data_.lives.left_out)
      out +=
          html_note(fmt::format("{} of {} processes are left out.", grouped(data_.lives.left_out),
                                grouped(data_.lives.processes + data_.lives.left_out)));
    if (table.rows() != 0)
      out += "<details><summary>Processes as a table</summary>\n" + table.text() + "</details>\n";
    return out;
  }

  // ---- forks ----

  std::string charge_cell(const ForkRow& f) const {
    if (f.charge_kb) return html_kb(*f.charge_kb);
    return f.observed_kb ? "<span title=\"change of Committed_AS during the call, other "
                           "processes&#39; changes included\">~ " +
                               html_kb(*f.observed_kb) + "</span>"
                         : "";
  }

  std::string result_cell(const ForkRow& f) const {
    if (!f.returned) return "did not return";
    if (f.failed) return "<strong class=\"refused\">" + html_text(errno_name(f.err)) + "</strong>";
    return f.child ? fmt::format("{}", f.child) : "unknown";
  }

  std::string forks() const {
    std::vector<const ForkRow*> rows;
    for (const ForkRow& fork : data_.forks) rows.push_back(&fork);
    uint64_t left_out = data_.forks_left_out;
    if (rows.size() > kForkRows) {  // the page's marks know more of them
      std::stable_sort(rows.begin(), rows.end(), [](const auto* a, const auto* b) {
        return a->failed != b->failed ? a->failed
                                      : a->charge_kb.value_or(0) > b->charge_kb.value_or(0);
      });
      left_out += rows.size() - kForkRows;
      rows.resize(kForkRows);
      std::stable_sort(rows.begin(), rows.end(),
                       [](const auto* a, const auto* b) { return a->tick < b->tick; });
    }
    HtmlTable table("Forks: who asked, the charge, how the child ended",
                    {"time", "process", "call", "asked by", "took", "charge", "child", "lived",
                     "end of the child"},
                    "llllrrrrw");
    for (const ForkRow* f : rows) {
      const std::string purpose = f->purpose.empty() ? "" : "<b>" + html_text(f->purpose) + "</b> ";
      table.row(
          {html_time(log_.posix_ns(f->tick)), fmt::format("{} ({})", html_text(f->comm), f->pid),
           html_text(f->call), "<span class=\"w\">" + purpose + html_text(f->asked_by) + "</span>",
           f->took_ns ? html_duration(*f->took_ns) : "", charge_cell(*f), result_cell(*f),
           f->lived_ns ? html_duration(*f->lived_ns) : "", html_text(f->end)},
          fork_id(*f), f->failed ? "refused" : "");
    }
    if (table.rows() == 0) return html_note("No fork is recorded.");
    std::string out = table.text("fork-table");
    if (left_out != 0)
      out += html_note(
          fmt::format("{} forks with the smallest charges are left out here; ovc forks has all",
                      grouped(left_out)));
    return out;
  }

  // ---- address space ----

  std::string spaces() const {
    if (data_.spaces.list.empty()) return html_note("No mappings are known.");
    std::string out;
    size_t index = 0;
    for (const Space& space : data_.spaces.list) out += space_section(space, index++);
    if (data_.spaces.left_out)
      out += html_note(
          fmt::format("{} other processes of that moment are left out; ovc maps --pid has them",
                      grouped(data_.spaces.left_out)));
    return out;
  }

  std::string space_section(const Space& space, size_t index) const {
    const std::string name = fmt::format("{} (pid {})", html_raw(space.name), space.pid);
    std::string out = fmt::format(
        "<section class=\"space\" aria-labelledby=\"space-{0}\"><h3 id=\"space-{0}\">{1}</h3>\n",
        index, name);
    out += fmt::format(
        "<p>At {}{}: {} charged to Committed_AS, a fork would charge {} more; {}.</p>\n",
        html_time(log_.posix_ns(space.tick)),
        data_.spaces.at_end ? ", the end of the log" : ", when the call was refused",
        html_kb_range(space.charged.low, space.charged.high),
        html_kb_range(space.at_fork.low, space.at_fork.high),
        space.exact ? "exact" : "known in part");
    for (const std::string& text : space.notes) out += html_note(html_text(text));
    out +=
        fmt::format("<div class=\"plot\" data-chart=\"space\" data-index=\"{}\"></div>\n", index);
    return out + "<details><summary>Mappings as a table</summary>\n" + space_table(space, name) +
           "</details></section>\n";
  }

  std::string space_table(const Space& space, const std::string& name) const {
    std::vector<const SpaceRow*> rows;
    for (const SpaceRow& row : space.rows) rows.push_back(&row);
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto* a, const auto* b) { return a->charge.high > b->charge.high; });
    HtmlTable table("Mappings of " + name + ", largest charge first",
                    {"address", "size", "charge", "what", "flags", "made by"}, "hrrllw");
    SpaceRow rest;
    for (size_t i = 0; i < rows.size(); ++i) {
      const SpaceRow& row = *rows[i];
      if (i >= kSpaceRows || row.merged) {
        rest.merged += row.merged ? row.merged : 1;
        rest.kb += row.kb, rest.charge.low += row.charge.low, rest.charge.high += row.charge.high;
        continue;
      }
      table.row({fmt::format("<code>{:x}</code>", row.start), html_kb(row.kb),
                 html_kb_range(row.charge.low, row.charge.high), html_text(row.what),
                 "<code>" + html_text(row.flags) + "</code>", html_text(row.made_by)});
    }
    if (rest.merged)
      table.row({fmt::format("{} more", grouped(rest.merged)), html_kb(rest.kb),
                 html_kb_range(rest.charge.low, rest.charge.high), "", "", ""});
    return table.text();
  }

  // ---- stacks ----

  std::string stacks() const {
    ChargeStacks& stacks = *data_.stacks;
    std::string out;
    if (stacks.unproven_calls())
      out +=
          html_note(fmt::format("Left out: {} whose charge the records do not prove (a mapping "
                                "replaced, moved or made writable).",
                                counted(stacks.unproven_calls(), "call")));
    if (stacks.from_totals())
      out += html_note(
          "Exact sums, kept apart from the records: what the log forgot since is in them.");
    if (stacks.unproven_kb())
      out += html_note(fmt::format("Left out: {} whose charge the log does not tell.",
                                   kb_text(stacks.unproven_kb())));
    if (stacks.missing_calls())
      out += html_note(fmt::format("Left out: {} for which the log's tables had no room.",
                                   counted(stacks.missing_calls(), "call")));
    HtmlTable table("Largest charges by stack, innermost first",
                    {"charged in total",
                     data_.spaces.at_end || stacks.kept_at_end() ? "still charged at the end"
                                                                 : "still charged at the refusal",
                     "calls", "stack"},
                    "rrrw");
    for (const auto& row : stacks.rows(kStackRows))
      table.row({html_kb(row.granted_kb), html_kb(row.kept_kb), grouped(row.calls),
                 html_text(row.stack)});
    if (table.rows() == 0) return out + html_note("No charge is recorded.");
    return out + "<details><summary>Stacks as a table</summary>\n" + table.text() + "</details>\n";
  }

  const LogReader& log_;
  ReportData& data_;
};

}  // namespace

std::map<std::string, std::string, std::less<>> report_tables(const LogReader& log,
                                                              ReportData& data) {
  return Tables(log, data).all();
}

}  // namespace ovc
