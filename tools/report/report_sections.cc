// SPDX-License-Identifier: MIT
//
// The text of a report: verdict, facts, what is not visible. All of it is in the HTML itself. The
// tables are in report_tables.cc.
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

constexpr size_t kVerdictsShown = 60, kBlindShown = 60;

std::string processes_text(uint64_t count) {
  return fmt::format("{} process{}", grouped(count), count == 1 ? "" : "es");
}

class Sections {
 public:
  Sections(const LogReader& log, ReportData& data) : log_(log), data_(data) {
    for (const Verdict& v : data.why.verdicts)
      if (!main_ && !v.coped) main_ = &v;
  }

  std::map<std::string, std::string, std::less<>> all() {
    auto sections = report_tables(log_, data_);
    sections.merge(words());
    return sections;
  }

 private:
  std::map<std::string, std::string, std::less<>> words() const {
    return {{"title", html_text(headline())},
            {"headline", html_text(headline())},
            {"state", data_.why.found() ? "bad" : "good"},
            {"log", html_raw(log_.path())},
            {"figures", figures()},
            {"verdicts", verdicts()},
            {"facts", facts()},
            {"unseen", unseen()},
            {"version", fmt::format("ovc {}", kVersion)}};
  }

  // ---- the verdict ----

  std::string headline() const {
    if (main_) return tell(log_, *main_).title;
    if (!data_.why.endings.empty()) return tell(log_, data_.why.endings.front()).title;
    if (!data_.why.children.empty()) return tell(log_, data_.why.children.front()).title;
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
    out += figure("committed before", html_kb(positive(v.committed_kb)),
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
    for (const ChildStory& story : data_.why.children)
      if (++ends <= kVerdictsShown) out += article(tell(log_, story), "", "ended");
    add(true);
    const size_t all =
        data_.why.verdicts.size() + data_.why.endings.size() + data_.why.children.size();
    const size_t left_out =
        shown - std::min(shown, kVerdictsShown) + (ends - std::min(ends, kVerdictsShown));
    if (left_out != 0)
      out += html_note(fmt::format("{} of {} findings are left out here; ovc why has all",
                                   grouped(left_out), grouped(all)));
    if (!data_.why.found()) out += calm();
    for (const std::string& text : data_.why.notes) out += html_note(html_text(text));
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
        fmt::format("Linux {}, {}", html_raw(h.kernel_release), counted(h.cpus_online, "CPU"));
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
    rows.emplace_back("recorded", fmt::format("{}, {}", counted(data_.stats.events, "event"),
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
    if (left_out != 0)
      out += html_note(fmt::format("{} more; ovc stats has all", grouped(left_out)));
    std::vector<std::string> lost;
    for (const Loss& loss : data_.stats.losses)
      if (loss.count != 0) lost.push_back(grouped(loss.count) + " " + html_text(loss.what));
    out += "<h3>Lost</h3>\n" +
           (lost.empty() ? "<p>Nothing: every record is in the log.</p>\n" : html_list(lost));
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
