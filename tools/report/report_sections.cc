// SPDX-License-Identifier: MIT
//
// The text of a report: verdict, tables, what is not visible. All of it is in the HTML itself.
#include <fmt/format.h>

#include <algorithm>

#include "shim/format/version.h"
#include "tools/causes/finding_text.h"
#include "tools/log/names.h"
#include "tools/report/report_ids.h"
#include "tools/report/report_page.h"
#include "tools/text/html.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kVerdictsShown = 60, kForkRows = 250, kSpaceRows = 60, kStackRows = 40,
                 kReadingRows = 30, kBlindShown = 60;

std::string plural(uint64_t count, std::string_view one) {
  return fmt::format("{} {}{}", grouped(count), one, count == 1 ? "" : "s");
}

std::string processes_text(uint64_t count) {
  return fmt::format("{} process{}", grouped(count), count == 1 ? "" : "es");
}

std::string note(const std::string& text) { return "<p class=\"note\">" + text + "</p>\n"; }

class Sections {
 public:
  Sections(const LogReader& log, ReportData& data) : log_(log), data_(data) {
    for (const Verdict& v : data.why.verdicts)
      if (!main_ && !v.coped) main_ = &v;
  }

  std::map<std::string, std::string, std::less<>> all() {
    return {{"title", html_text(headline())},
            {"headline", html_text(headline())},
            {"state", data_.why.found() ? "bad" : "good"},
            {"log", html_raw(log_.path())},
            {"figures", figures()},
            {"verdicts", verdicts()},
            {"facts", facts()},
            {"timeline", timeline()},
            {"processes", processes()},
            {"forks", forks()},
            {"spaces", spaces()},
            {"stacks", stacks()},
            {"unseen", unseen()},
            {"version", fmt::format("ovc {}", kVersion)}};
  }

 private:
  // ---- the verdict ----

  std::string headline() const {
    if (main_) return tell(log_, *main_).title;
    if (!data_.why.endings.empty()) return tell(log_, data_.why.endings.front()).title;
    return "nothing was refused and nobody was killed in what was seen";
  }

  static std::string figure(std::string_view name, const std::string& value,
                            std::string_view detail, std::string_view kind) {
    return fmt::format("<div class=\"{}\"><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n", kind,
                       name, value, detail);
  }

  static uint64_t positive(int64_t kb) { return kb < 0 ? 0 : static_cast<uint64_t>(kb); }

  // The inequality of the verdict, in four figures.
  std::string figures() const {
    if (!main_ || !main_->finding.mode2) return "";
    const Mode2Verdict& v = *main_->finding.mode2;
    std::string out = "<dl class=\"figures\">\n";
    out += figure("asked for", html_kb(positive(v.request_kb)), kb_text(positive(v.request_kb)),
                  "asked");
    const std::string left = v.headroom_kb < 0 ? "nothing" : html_kb(positive(v.headroom_kb));
    out += figure("was left", left, signed_grouped(v.headroom_kb) + " kB", "left");
    out += figure("promised before", html_kb(positive(v.committed_kb)),
                  "Committed_AS " + kb_text(positive(v.committed_kb)), "committed");
    out += figure("limit", html_kb(positive(v.limit_kb)),
                  "CommitLimit " + kb_text(positive(v.limit_kb)), "limit");
    if (v.short_kb > 0)
      out += figure(
          "short by", html_kb(positive(v.short_kb)),
          fmt::format("{} kB, +/- {} kB", signed_grouped(v.short_kb), signed_grouped(v.band_kb)),
          "short");
    return out + "</dl>\n";
  }

  static std::string lines_of(const Told& told) {
    std::string out = "<dl class=\"told\">\n";
    std::string_view last;
    for (const auto& [label, text] : told.lines) {
      if (label != last) out += fmt::format("<dt>{}</dt>", html_text(label));
      out += fmt::format("<dd>{}</dd>\n", html_text(text));
      last = label;
    }
    return out + "</dl>\n";
  }

  std::string article(const Told& told, const std::string& id, std::string_view kind) const {
    const bool is_headline = told.title == headline();
    std::string out = fmt::format("<article class=\"verdict {}\"{}>\n", kind,
                                  id.empty() ? "" : " tabindex=\"-1\" id=\"" + id + "\"");
    if (!is_headline) out += "<h3>" + html_text(told.title) + "</h3>\n";
    if (!told.lines.empty()) out += lines_of(told);
    return out + "</article>\n";
  }

  std::string verdicts() const {
    std::string out;
    size_t shown = 0;
    const auto add = [&](bool coped) {
      for (size_t i = 0; i < data_.why.verdicts.size(); ++i)
        if (data_.why.verdicts[i].coped == coped && ++shown <= kVerdictsShown)
          out += article(tell(log_, data_.why.verdicts[i]), verdict_id(i),
                         coped ? "coped" : "refused");
    };
    add(false);
    size_t ends = 0;
    for (const Ending& ending : data_.why.endings)
      if (++ends <= kVerdictsShown) out += article(tell(log_, ending), "", "ended");
    add(true);
    const size_t all = data_.why.verdicts.size() + data_.why.endings.size();
    const size_t left_out =
        shown - std::min(shown, kVerdictsShown) + (ends - std::min(ends, kVerdictsShown));
    if (left_out != 0)
      out += note(fmt::format("{} of {} findings are left out here: ovc why", grouped(left_out),
                              grouped(all)));
    if (!data_.why.found()) out += calm();
    for (const std::string& text : data_.why.notes) out += note(html_text(text));
    return out;
  }

  std::string calm() const {
    std::vector<std::string> items;
    for (const std::string& line : unseen_lines(data_.why))
      items.push_back(html_text("not seen: " + line));
    std::string text = nothing_found_text(log_, data_.why);
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      items.push_back(html_text(std::string_view(text).substr(at, end - at)));
      at = end + 1;
    }
    return html_list(items);
  }

  std::string facts() const {
    std::vector<std::pair<std::string, std::string>> rows;
    const FileHeader& h = log_.header();
    std::string host =
        fmt::format("Linux {}, {}", html_raw(h.kernel_release), plural(h.cpus_online, "CPU"));
    const auto add = [&](FactKey key, std::string_view name) {
      if (const auto kb = log_.host(key)) host += fmt::format(", {} {}", name, html_kb(*kb));
    };
    add(FactKey::kMemTotalKb, "RAM");
    add(FactKey::kSwapTotalKb, "swap");
    rows.emplace_back("host", host);
    std::string mode;
    for (const auto& level : data_.readings->modes())
      mode += fmt::format(
          "{}{}{}", mode.empty() ? "" : ", then ", level.value,
          mode.empty() ? "" : " from " + html_time(data_.clock->posix_ns_of(level.from_us)));
    if (!mode.empty()) rows.emplace_back("vm.overcommit_memory", mode);
    const int64_t span =
        log_.ticks_to_ns(static_cast<int64_t>(data_.stats.last_tick - data_.stats.first_tick));
    rows.emplace_back("period",
                      fmt::format("{}, {}", html_text(date_text(log_.posix_ns(data_.first_tick))),
                                  html_duration(span)));
    rows.emplace_back("recorded", fmt::format("{}, {}", plural(data_.stats.events, "event"),
                                              processes_text(data_.stats.processes.size() +
                                                             data_.stats.retired_processes)));
    if (h.rehearse[0])
      rows.emplace_back(
          "rehearsal",
          html_raw(h.rehearse) + (rehearsed_mode(h) ? "" : " (not understood: not in force)"));
    if (h.inject[0]) rows.emplace_back("injection", html_raw(h.inject));
    rows.emplace_back("log",
                      fmt::format("{}, shim {}", html_raw(log_.path()), html_raw(h.shim_version)));
    std::string out = "<dl class=\"facts\">\n";
    for (const auto& [name, value] : rows)
      out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
    return out + "</dl>\n";
  }

  // ---- timeline ----

  std::string timeline() const {
    std::string out;
    const uint64_t count = data_.readings->count();
    if (count == 0) out += note("No record carries a reading of Committed_AS.");
    else if (data_.readings->in_spans())
      out +=
          note(fmt::format("{} records carry a reading of Committed_AS: drawn is the lowest and "
                           "the highest of each 1/1500 of the period.",
                           grouped(count)));
    std::string left;
    const auto leave = [&](uint64_t n, std::string_view what) {
      if (n != 0) left += fmt::format("{}{} {}", left.empty() ? "" : ", ", grouped(n), what);
    };
    leave(data_.refusals_left_out, "refusals that repeat others");
    leave(data_.forks_left_out, "forks that were charged less");
    leave(data_.mappings_left_out, "smaller mappings of 1 MiB and more");
    if (!left.empty()) out += note("Counted but not drawn: " + left + ".");
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
    HtmlTable table("Processes, each beneath the one that made it",
                    {"process", "pid", "began", "lived", "fate", "made by", "forks", "program"},
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
      out += note(fmt::format("{} of {} processes are left out.", grouped(data_.lives.left_out),
                              grouped(data_.lives.processes + data_.lives.left_out)));
    if (table.rows() != 0)
      out += "<details><summary>Processes as a table</summary>\n" + table.text() + "</details>\n";
    return out;
  }

  // ---- forks ----

  std::string charge_cell(const ForkRow& f) const {
    if (f.charge_kb) return html_kb(*f.charge_kb);
    return f.observed_kb ? "<span title=\"observed change of Committed_AS over the call, what "
                           "others did meanwhile included\">~ " +
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
    HtmlTable table("Forks: who asked, what was charged, what became of the child",
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
    if (table.rows() == 0) return note("No fork is recorded.");
    std::string out = table.text("fork-table");
    if (left_out != 0)
      out +=
          note(fmt::format("{} forks are left out here, those that were charged least: ovc forks",
                           grouped(left_out)));
    return out;
  }

  // ---- address space ----

  std::string spaces() const {
    if (data_.spaces.list.empty()) return note("No mappings are known.");
    std::string out;
    size_t index = 0;
    for (const Space& space : data_.spaces.list) out += space_section(space, index++);
    if (data_.spaces.left_out)
      out += note(fmt::format("{} other processes of that moment are left out: ovc maps --pid",
                              grouped(data_.spaces.left_out)));
    return out;
  }

  std::string space_section(const Space& space, size_t index) const {
    const std::string name = fmt::format("{} (pid {})", html_raw(space.name), space.pid);
    std::string out = fmt::format(
        "<section class=\"space\" aria-labelledby=\"space-{0}\"><h3 id=\"space-{0}\">{1}</h3>\n",
        index, name);
    out += fmt::format(
        "<p>At {}{}: {} counted in the commit limit, {} of it once more at a fork; {}.</p>\n",
        html_time(log_.posix_ns(space.tick)),
        data_.spaces.at_end ? ", the end of the log" : ", when the call was refused",
        html_kb_range(space.charged.low, space.charged.high),
        html_kb_range(space.at_fork.low, space.at_fork.high),
        space.exact ? "known to the kB" : "known in parts");
    for (const std::string& text : space.notes) out += note(html_text(text));
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
          note(fmt::format("Left out of what was granted: {} whose charge their records do not "
                           "prove (a mapping replaced, "
                           "moved or made writable).",
                           plural(stacks.unproven_calls(), "call")));
    HtmlTable table(
        "Largest charges by stack, innermost first",
        {"granted in all", data_.spaces.at_end ? "charged at the end" : "charged at the refusal",
         "calls", "stack"},
        "rrrw");
    for (const auto& row : stacks.rows(kStackRows))
      table.row({html_kb(row.granted_kb), html_kb(row.kept_kb), grouped(row.calls),
                 html_text(row.stack)});
    if (table.rows() == 0) return out + note("No charge is recorded.");
    return out + "<details><summary>Stacks as a table</summary>\n" + table.text() + "</details>\n";
  }

  // ---- what is not visible ----

  std::string unseen() const {
    std::vector<std::string> items;
    for (const std::string& text : data_.unseen_births)
      if (items.size() < kBlindShown) items.push_back(html_text(text));
    const auto& blind = data_.stats.blind_spots;  // the general ones stand last
    const size_t from = blind.size() - std::min(blind.size(), kBlindShown);
    for (size_t i = from; i < blind.size(); ++i) items.push_back(html_text(blind[i]));
    std::string out = html_list(items);
    const size_t left_out =
        from + data_.unseen_births.size() - std::min(data_.unseen_births.size(), kBlindShown);
    if (left_out != 0) out += note(fmt::format("{} more: ovc stats", grouped(left_out)));
    std::vector<std::string> lost;
    for (const Loss& loss : data_.stats.losses)
      if (loss.count != 0) lost.push_back(grouped(loss.count) + " " + html_text(loss.what));
    out += "<h3>Lost</h3>\n" +
           (lost.empty() ? "<p>Nothing: every record is there.</p>\n" : html_list(lost));
    return out;
  }

  const LogReader& log_;
  ReportData& data_;
  const Verdict* main_ = nullptr;
};

}  // namespace

std::map<std::string, std::string, std::less<>> report_sections(const LogReader& log,
                                                                ReportData& data) {
  return Sections(log, data).all();
}

}  // namespace ovc
